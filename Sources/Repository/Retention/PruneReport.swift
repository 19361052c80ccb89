public import BackupModel

/// What a prune did with one lineage in one store, or would do.
public struct PruneReport: Sendable {
  public enum Action: String, Sendable, Hashable {
    /// It stays.
    case keep
    /// It is deleted from now on, and can be undeleted.
    case tombstone
    /// It is deleted and waits.
    case wait
    /// It is removed from the store.
    case remove
  }

  /// An object, or objects that share their fate.
  public struct Entry: Sendable, Hashable {
    public var action: Action
    /// `backup`, `packs`, `metadata`, `wal`, `checkpoints`, `leases`, `tombstones`, `claims`, `damage`, `gaps`.
    public var kind: String
    /// A backup's id, a range of WAL; nil for a group.
    public var name: String?
    public var count: Int
    public var bytes: ByteCount
    public var reason: String
  }

  public var cluster: ClusterID
  public var systemIdentifier: SystemIdentifier
  public var store: StoreID
  public var entries: [Entry] = []
  /// Set where the store's keys may not delete: what would go waits for a prune with other keys.
  public var refusal: ErrorReport?
  /// Set where the prune was refused or ended early: what is listed was done.
  public var error: ErrorReport?

  /// Bytes of what is removed.
  public var freedBytes: ByteCount {
    entries.filter { $0.action == .remove }.reduce(ByteCount(0)) { $0 + $1.bytes }
  }

  init(_ lineage: Lineage, _ store: StoreID) {
    cluster = lineage.cluster
    systemIdentifier = lineage.systemIdentifier
    self.store = store
  }

  mutating func add(
    _ action: Action, _ kind: String, _ name: String? = nil, count: Int = 1, bytes: Int64 = 0, _ reason: String
  ) {
    guard count > 0 else { return }
    entries.append(
      Entry(action: action, kind: kind, name: name, count: count, bytes: ByteCount(bytes), reason: reason))
  }
}
