public import BackupModel

/// How fast, and how dear, objects are thawed.
public enum ThawTier: String, Sendable, Hashable, CaseIterable, Codable { case expedited, standard, bulk }

/// Whether an object can be read now.
public enum ThawState: Sendable, Hashable {
  /// Of a class that can always be read.
  case warm
  case frozen
  /// Asked for, and not there yet.
  case thawing
  /// Readable until then; nil where the store does not tell.
  case thawed(until: Timestamp?)

  public var isReadable: Bool {
    switch self {
    case .warm, .thawed: true
    case .frozen, .thawing: false
    }
  }
}

/// A store with classes that must be thawed before they can be read. What was asked for is known to the store alone, so
/// whoever asks again later finds out how far it is.
public protocol ThawingStore: ObjectStore {
  /// - Throws: ``StorageError/missing(_:in:)``.
  func thawState(of name: ObjectName) throws -> ThawState
  /// Asks for a copy that can be read. May be repeated: of one that is thawing nothing changes, of one that is thawed
  /// the days begin anew.
  /// - Parameter days: How long the copy stays once it is there.
  func thaw(_ name: ObjectName, days: Int, tier: ThawTier) throws
}
