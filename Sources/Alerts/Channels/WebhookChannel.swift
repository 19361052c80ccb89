public import BackupModel
public import BlockingWork
internal import Cryptography
public import Transfer

/// A program behind an HTTP address, which gets the message as JSON and can prove that it is ours.
public struct WebhookChannel: AlertChannel {
  public let kind = "url"
  private let address: @Sendable () throws -> Secret
  private let secret: (@Sendable () throws -> Secret)?
  private let client: HTTPClient

  /// - Parameters:
  ///   - address: Read for each message; it may hold a token.
  ///   - secret: What the body is signed with; nil for no signature.
  public init(
    address: @escaping @Sendable () throws -> Secret, secret: (@Sendable () throws -> Secret)?, client: HTTPClient
  ) {
    self.address = address
    self.secret = secret
    self.client = client
  }

  public func deliver(
    _ message: AlertMessage, _ context: AlertContext, _ cancellation: Cancellation
  ) throws -> AlertReceipt {
    let body = try AlertDocument(message, context).bytes
    var headers = [
      (name: "Content-Type", value: "application/json"), (name: "Idempotency-Key", value: "\(message.id)"),
    ]
    if let secret {
      let signature = try Self.signature(of: body, at: context.now, secret: secret().reveal())
      headers.append((name: "Backupd-Signature", value: signature))
    }
    let request = HTTPRequest(.post, try WebAddress.text(address()), headers: headers)
    return try WebPost(client: client, name: context.channel.rawValue).send(request, body, cancellation)
  }

  /// `t=SECONDS,v1=HEX`: HMAC-SHA256 of the seconds since 1970 in decimal, a dot, and the body. With the time in it an old
  /// message cannot be played again.
  static func signature(of body: [UInt8], at time: Timestamp, secret: [UInt8]) throws -> String {
    let code = try MessageCode.compute(Array("\(time.seconds).".utf8) + body, key: secret)
    return "t=\(time.seconds),v1=\(BytesText.hexadecimal(code))"
  }
}
