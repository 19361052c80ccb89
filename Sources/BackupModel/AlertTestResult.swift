/// How one channel took a test message: an element of `backupctl alerts test --json`.
public struct AlertTestResult: Sendable, Hashable, Codable {
  public var channel: AlertChannelID
  /// `smtp`, `sendmail`, `slack`, `url` or `command`.
  public var kind: String
  /// Whether it was taken for all who are to get it.
  public var isDelivered = false
  /// The other side's words.
  public var answer: String?
  public var error: ErrorReport?
  public var durationSeconds = 0.0

  private enum CodingKeys: String, CodingKey {
    case channel, kind, answer, error, durationSeconds
    case isDelivered = "delivered"
  }

  public init(channel: AlertChannelID, kind: String) {
    self.channel = channel
    self.kind = kind
  }
}
