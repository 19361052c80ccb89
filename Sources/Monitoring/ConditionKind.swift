public import BackupModel

/// What the monitor looks for. `docs/operations/conditions.md` explains each.
public enum ConditionKind: String, Sendable, CaseIterable {
  case server
  case clock
  case slot
  case archiver
  case walThin = "wal-thin"
  case noSuccess = "no-success"
  case retries
  case history
  case backupAge = "backup-age"
  case backupCount = "backup-count"
  case backupSize = "backup-size"
  case changePattern = "change-pattern"
  case storeUnreachable = "store-unreachable"
  case storeLag = "store-lag"
  case repository
  case damage
  case damagedBackup = "damaged-backup"
  case pruneIdle = "prune-idle"
  case disk

  /// The id of a condition: stable, since alerts follow it. `server:oauth`; the bare kind where there is one subject only.
  public func id(_ subject: String = "") -> String { subject.isEmpty ? rawValue : "\(rawValue):\(subject)" }

  /// The kind of a condition of the monitor's, and what it is about in words; nil for one of others.
  static func parts(of id: String) -> (kind: ConditionKind, subject: Substring)? {
    let parts = id.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let kind = ConditionKind(rawValue: String(parts[0])) else { return nil }
    return (kind, parts.count > 1 ? parts[1] : "")
  }

  /// Whether the monitor judges it: one that is raised and has no subject any more is over.
  static func isOwn(_ id: String) -> Bool { parts(of: id) != nil }
}

/// What a rule says of one condition, from one look.
public struct Judgement: Sendable, Hashable {
  public enum State: Sendable, Hashable {
    case wrong(Condition.Severity, ErrorReport)
    case right
    /// Between the threshold that raises and the one that resolves, or not to be seen now: it stays as it is.
    case unclear
  }
  /// One that ends in `*` stands for all raised conditions that begin so: they are unclear.
  public var id: String
  public var state: State
  /// How long it must be wrong before it is raised, in intervals of the monitor.
  public var delay: Double
  /// Ids of conditions that explain this one, or what such ids begin with where it ends in `*`: while one of them is
  /// raised nobody is told of the consequence.
  public var causes: [String]

  public init(_ id: String, _ state: State, delay: Double = 0, causes: [String] = []) {
    self.id = id
    self.state = state
    self.delay = delay
    self.causes = causes
  }

  /// All conditions of a kind stay as they are: what they are of could not be seen.
  static func unclear(all kind: ConditionKind) -> Judgement { Judgement(kind.id("*"), .unclear) }

  func isExplained(by raised: some Sequence<String>) -> Bool {
    causes.contains { cause in
      raised.contains { cause.last == "*" ? $0.hasPrefix(cause.dropLast()) : $0 == cause }
    }
  }
}
