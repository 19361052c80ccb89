public import BackupModel

/// What is known of a cluster's copies at one moment: what ``RecoveryRoads`` judges by.
public struct ClusterFacts: Sendable, Hashable {
  /// WAL in one place that the server is still adding to.
  public struct LiveWAL: Sendable, Hashable {
    public var end: LSN
    /// The server's clock there.
    public var clock: Timestamp
    /// Since then, by a clock that nobody sets.
    public var lossSeconds: Double

    public init(end: LSN, clock: Timestamp, lossSeconds: Double) {
      self.end = end
      self.clock = clock
      self.lossSeconds = lossSeconds
    }
  }

  /// What one store alone would restore.
  public struct Store: Sendable, Hashable {
    public var store: StoreID
    /// The newest physical backup in it; nil where there is none that restores.
    public var backup: BackupID?
    /// The newest instant it leads to by the store's own listing, and where that lies.
    public var to: Timestamp
    public var toLSN: LSN
    /// Whether WAL leads on from the backup.
    public var hasWAL: Bool
    /// Nil where the server is not heard, or WAL does not come by streaming.
    public var live: LiveWAL?

    public init(store: StoreID, backup: BackupID?, to: Timestamp, toLSN: LSN, hasWAL: Bool, live: LiveWAL? = nil) {
      self.store = store
      self.backup = backup
      self.to = to
      self.toLSN = toLSN
      self.hasWAL = hasWAL
      self.live = live
    }
  }

  /// A backup of some tables.
  public struct Logical: Sendable, Hashable {
    public var backup: BackupID
    /// When its snapshot was taken.
    public var at: Timestamp
    public var stores: [StoreID]
    /// Nil: all tables.
    public var tables: Set<String>?

    public init(backup: BackupID, at: Timestamp, stores: [StoreID], tables: Set<String>?) {
      self.backup = backup
      self.at = at
      self.stores = stores
      self.tables = tables
    }
  }

  public var now: Timestamp
  /// Where the run of WAL without a hole begins that the receiver goes on with; nil where there is none.
  public var heldFrom: LSN?
  /// WAL with the daemon, on another host than the server's.
  public var landing: LiveWAL?
  /// Stores from which the cluster can be restored at all.
  public var stores: [Store]
  public var logical: [Logical]
  /// Size of the newest physical backup.
  public var bytes: ByteCount?
  /// WAL since that backup began.
  public var walBytes: ByteCount?

  public init(
    now: Timestamp, heldFrom: LSN? = nil, landing: LiveWAL? = nil, stores: [Store] = [], logical: [Logical] = [],
    bytes: ByteCount? = nil, walBytes: ByteCount? = nil
  ) {
    self.now = now
    self.heldFrom = heldFrom
    self.landing = landing
    self.stores = stores
    self.logical = logical
    self.bytes = bytes
    self.walBytes = walBytes
  }
}
