public import BackupModel
internal import Storage

/// How deep a backup is looked into.
public enum VerifyDepth: String, Sendable, Hashable, Codable {
  /// Manifest and page maps open; every pack and every WAL segment is there and long enough.
  case presence
  /// Every byte the backup needs is read, opened and compared with its fingerprints and checksums.
  case full
}

/// What a verification found: an element of `backupctl verify --json`.
public struct VerifyReport: Sendable, Hashable, Codable {
  /// An object that cannot be used, in one store.
  public struct Damage: Sendable, Hashable, Codable {
    public var object: String
    public var store: StoreID
    public var reason: String
  }
  public var backup: BackupID
  public var cluster: ClusterID
  public var depth: VerifyDepth
  /// The stores looked into: those that hold the manifest.
  public var stores: [StoreID]
  public var files: Int
  /// Objects looked at, all stores together.
  public var objects: Int
  /// Plain bytes read and compared; none where only presence was asked for.
  public var bytes: ByteCount
  public var damage: [Damage]
  /// What could not be read before it is thawed: nothing is known of it but that it is there.
  public var unread: [Damage] = []

  public var isSound: Bool { damage.isEmpty }
}

/// Gathers what several threads find.
struct VerifyFindings {
  var damage: [VerifyReport.Damage] = []
  private(set) var unread: [VerifyReport.Damage] = []
  private var frozen: Set<String> = []
  var objects = 0
  var bytes: Int64 = 0
  private var seen: Set<VerifyReport.Damage> = []

  /// Takes note of an error that says an object cannot be used; the same one only once.
  /// - Returns: False for an error that says nothing of the kind: that must be thrown on.
  mutating func note(_ error: any Error, object: String, store: StoreID) -> Bool {
    switch error {
    case is CancellationError: return false
    case let error as StorageError where error.isFrozen:
      if frozen.insert(object).inserted {
        unread.append(.init(object: object, store: store, reason: error.detail ?? error.summary))
      }
      return true
    case let error as any OperatorError:
      let reason = [error.summary, error.detail].compactMap { $0 }.joined(separator: ": ")
      add(.init(object: object, store: store, reason: reason))
      return true
    default: return false
    }
  }

  func isFrozen(_ object: String) -> Bool { frozen.contains(object) }

  mutating func add(_ damage: VerifyReport.Damage) {
    if seen.insert(damage).inserted { self.damage.append(damage) }
  }
}
