public import BackupModel

/// What a message says of one condition.
public struct AlertItem: Sendable, Hashable, Codable {
  public enum Change: String, Sendable, Hashable, Codable {
    case raised
    /// Over for a while and back within the reminder interval: from now on it is told less often.
    case again
    /// More severe than was told before.
    case worsened
    /// It still holds, a reminder interval later.
    case reminder
    case resolved
  }
  public var change: Change
  /// As it is now; of a resolved one, as it was last known.
  public var condition: Condition
  /// The message that first told of it: all that follow belong to its thread.
  public var thread: AlertMessageID?

  public init(change: Change, condition: Condition, thread: AlertMessageID? = nil) {
    self.change = change
    self.condition = condition
    self.thread = thread
  }
}

/// One message of one channel. Written down before it is sent, under an id that stays the same however often it is tried.
public struct AlertMessage: Sendable, Hashable, Codable {
  public var id: AlertMessageID
  public var created: Timestamp
  /// At least one, the most severe first; none in a message that only tries the way.
  public var items: [AlertItem]
  /// Attempts that have failed, and when the next is due.
  public var attempts = 0
  public var nextAttempt: Timestamp?
  /// Whether the last attempt got there and was refused.
  public var isRefused: Bool?
  /// Messages before it that were given up.
  public var lost = 0

  public init(id: AlertMessageID = .random(), created: Timestamp, items: [AlertItem]) {
    self.id = id
    self.created = created
    self.items = items
  }

  public var isTest: Bool { items.isEmpty }
  /// The worst of what it tells, also of what it tells the end of.
  public var severity: Condition.Severity { items.map(\.condition.severity).max() ?? .warning }
}

public typealias AlertMessageID = RandomID
