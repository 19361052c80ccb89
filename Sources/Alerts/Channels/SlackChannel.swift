public import BackupModel
public import BlockingWork
internal import Foundation
public import Transfer

/// Slack, by an incoming webhook. The webhook's address is the secret: it is read for each message and kept nowhere.
public struct SlackChannel: AlertChannel {
  public let kind = "slack"
  private let webhook: @Sendable () throws -> Secret
  private let client: HTTPClient

  public init(webhook: @escaping @Sendable () throws -> Secret, client: HTTPClient) {
    self.webhook = webhook
    self.client = client
  }

  public func deliver(
    _ message: AlertMessage, _ context: AlertContext, _ cancellation: Cancellation
  ) throws -> AlertReceipt {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let body = Array(try encoder.encode(SlackBody(message, context)))
    let request = HTTPRequest(
      .post, try WebAddress.text(webhook()), headers: [("Content-Type", "application/json; charset=utf-8")])
    return try WebPost(client: client, name: "Slack").send(request, body, cancellation)
  }
}
