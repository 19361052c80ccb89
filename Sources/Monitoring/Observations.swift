public import BackupModel

/// What a server said of itself at one look.
public struct ServerState: Sendable, Hashable {
  /// The slot that the wal job holds WAL with.
  public struct Slot: Sendable, Hashable {
    public var isActive: Bool
    /// `reserved`, `extended`, `unreserved` or `lost`.
    public var status: String
    /// WAL from the slot's oldest byte to the server's newest.
    public var retainedBytes: Int64
    /// Bytes that may be written before the slot loses WAL; nil where it never does.
    public var safeBytes: Int64?

    public init(isActive: Bool, status: String, retainedBytes: Int64, safeBytes: Int64?) {
      self.isActive = isActive
      self.status = status
      self.retainedBytes = retainedBytes
      self.safeBytes = safeBytes
    }
  }

  /// `pg_stat_archiver`, and the files that wait for it.
  public struct Archiver: Sendable, Hashable {
    public var failedCount: Int64
    public var lastFailedSegment: String?
    public var lastFailed: Timestamp?
    public var lastArchived: Timestamp?
    /// `.ready` files in `pg_wal/archive_status`; nil where the role may not list them.
    public var readyFiles: Int?
    public var oldestReady: Timestamp?

    public init(
      failedCount: Int64 = 0, lastFailedSegment: String? = nil, lastFailed: Timestamp? = nil,
      lastArchived: Timestamp? = nil, readyFiles: Int? = nil, oldestReady: Timestamp? = nil
    ) {
      self.failedCount = failedCount
      self.lastFailedSegment = lastFailedSegment
      self.lastFailed = lastFailed
      self.lastArchived = lastArchived
      self.readyFiles = readyFiles
      self.oldestReady = oldestReady
    }
  }

  /// The server's clock when it answered, and how far this host's is ahead of it.
  public var clock: Timestamp
  public var clockAhead: Duration
  public var lsn: LSN?
  public var segmentBytes: Int64
  /// Nil where it does not exist.
  public var slot: Slot?
  /// Bytes a slot may hold back, `max_slot_wal_keep_size`; nil without limit.
  public var slotLimitBytes: Int64?
  /// Nil where the server does not archive.
  public var archiver: Archiver?

  public init(
    clock: Timestamp, clockAhead: Duration = .zero, lsn: LSN? = nil, segmentBytes: Int64 = 16 << 20, slot: Slot? = nil,
    slotLimitBytes: Int64? = nil, archiver: Archiver? = nil
  ) {
    self.clock = clock
    self.clockAhead = clockAhead
    self.lsn = lsn
    self.segmentBytes = segmentBytes
    self.slot = slot
    self.slotLimitBytes = slotLimitBytes
    self.archiver = archiver
  }
}

/// What came of the last look at something that may be away.
public enum Answer<Value: Sendable>: Sendable {
  /// Not looked at yet.
  case none
  case value(Value)
  /// - Parameter isTransient: Whether it says itself that it will be back soon, such as a server that starts.
  case failed(ErrorReport, isTransient: Bool)
  /// It was asked so long ago and has not answered.
  case silent(Duration)

  public var value: Value? { if case .value(let value) = self { value } else { nil } }
}

/// A cluster at one look.
public struct ClusterObservation: Sendable {
  public var cluster: ClusterID
  public var server: Answer<ServerState>
  /// The slot of the cluster's streaming wal job; nil where there is none.
  public var slot: String?
  /// How far its WAL has come; nil where no job keeps it.
  public var wal: WALStatus?
  /// Bytes the server has written since the stores last got WAL; nil where that is not known.
  public var unstoredBytes: Int64?
  /// All backups, deleted ones among them.
  public var catalog: Answer<Catalog>
  public var prune: PruneObservation?

  /// What the stores hold of a cluster.
  public struct Catalog: Sendable {
    /// When it began to be read: what was made later is not in it.
    public var asked: Timestamp
    public var backups: [Backup]
    /// Manifests that cannot be read.
    public var damagedBackups: [(backup: BackupID, report: ErrorReport)]
    /// Packs that verifications found damaged, of each store that has some; nil where not every store answered.
    public var damagedPacks: [StoreID: Int]?

    public init(
      asked: Timestamp, backups: [Backup] = [], damagedBackups: [(backup: BackupID, report: ErrorReport)] = [],
      damagedPacks: [StoreID: Int]? = [:]
    ) {
      self.asked = asked
      self.backups = backups
      self.damagedBackups = damagedBackups
      self.damagedPacks = damagedPacks
    }
  }

  public init(
    _ cluster: ClusterID, server: Answer<ServerState> = .none, slot: String? = nil, wal: WALStatus? = nil,
    unstoredBytes: Int64? = nil, catalog: Answer<Catalog> = .none, prune: PruneObservation? = nil
  ) {
    self.cluster = cluster
    self.server = server
    self.slot = slot
    self.wal = wal
    self.unstoredBytes = unstoredBytes
    self.catalog = catalog
    self.prune = prune
  }
}

/// What the prunes of a cluster came to lately.
public struct PruneObservation: Sendable, Hashable {
  /// Successful prunes in a row that freed nothing, and since when.
  public var idleRuns: Int
  public var idleSince: Timestamp?
  /// What is deleted and waits to be removed.
  public var waitingBytes: ByteCount

  public init(idleRuns: Int, idleSince: Timestamp?, waitingBytes: ByteCount) {
    self.idleRuns = idleRuns
    self.idleSince = idleSince
    self.waitingBytes = waitingBytes
  }
}

/// A job at one look: anything that has a schedule or records of runs.
public struct JobObservation: Sendable {
  public var job: MonitoredJob
  /// Ended runs, newest first.
  public var runs: [RunRecord]
  /// The run that goes on or waits.
  public var live: RunRecord?
  public var lastSuccess: Timestamp?
  /// Since when it is configured with this schedule, as far as is known.
  public var configuredSince: Timestamp
  /// What its schedule came to when it was looked at before; computed anew where that is of another time.
  var known: ScheduleFacts?

  public init(
    _ job: MonitoredJob, runs: [RunRecord] = [], live: RunRecord? = nil, lastSuccess: Timestamp? = nil,
    configuredSince: Timestamp
  ) {
    self.job = job
    self.runs = runs
    self.live = live
    self.lastSuccess = lastSuccess
    self.configuredSince = configuredSince
  }
}

/// A store at one look.
public struct StoreObservation: Sendable {
  public var store: StoreID
  public var location: String
  /// Whether it holds the repository's root document.
  public var root: Answer<Bool>
  /// Since when it lacks something of what the others hold, where that is allowed, or could not be looked at; nil where
  /// it lacks nothing.
  public var behindSince: Timestamp?
  /// Nil where it cannot be looked at.
  public var missingBytes: ByteCount?

  public init(
    _ store: StoreID, location: String, root: Answer<Bool> = .none, behindSince: Timestamp? = nil,
    missingBytes: ByteCount? = nil
  ) {
    self.store = store
    self.location = location
    self.root = root
    self.behindSince = behindSince
    self.missingBytes = missingBytes
  }
}

/// A file system at one look.
public struct DiskObservation: Sendable, Hashable {
  /// What it is known by: the first of its uses.
  public var name: String
  /// `the state directory "/var/lib/backupd"`.
  public var uses: [String]
  public var freeBytes: Int64
  public var totalBytes: Int64
  /// When it is full at the rate of the last hours; nil where it does not fill or is not known.
  public var timeLeft: Duration?

  public init(name: String, uses: [String], freeBytes: Int64, totalBytes: Int64, timeLeft: Duration? = nil) {
    self.name = name
    self.uses = uses
    self.freeBytes = freeBytes
    self.totalBytes = totalBytes
    self.timeLeft = timeLeft
  }
}

/// All that the rules judge by.
public struct Observations: Sendable {
  public var now: Timestamp
  public var settings: MonitorSettings
  public var clusters: [ClusterObservation] = []
  public var jobs: [JobObservation] = []
  public var stores: [StoreObservation] = []
  public var disks: [DiskObservation] = []
  /// Whether some disk could not be looked at, so that those above are not all.
  public var hasUnseenDisks = false
  /// Why records of runs could not be read.
  public var historyProblem: ErrorReport?

  public init(now: Timestamp, settings: MonitorSettings = MonitorSettings()) {
    self.now = now
    self.settings = settings
  }
}
