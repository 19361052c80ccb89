public import BackupModel

/// Everything the daemon says of itself at one moment: the keys of `backupctl status --json`.
public struct DaemonStatus: Sendable, Hashable, Codable {
  public var version: String
  public var pid: Int32
  public var startedAt: Timestamp
  public var configurationPath: String
  /// When the configuration in force was read.
  public var configurationLoadedAt: Timestamp
  public var clusters: [ClusterStatus]
  /// Objectives and what is attained of them; empty where the configuration names none, or before the first look.
  public var tiers: [TierStatus]
  /// Of a repository with several stores.
  public var stores: [StoreSummary]
  /// Of each job of kind `copy`.
  public var copies: [CopySummary]
  public var jobs: [JobSummary]
  /// Runs that have not ended, oldest first.
  public var running: [RunRecord]
  /// What is wrong at the moment; empty where all is well.
  public var conditions: [Condition]

  public init(
    version: String, pid: Int32, startedAt: Timestamp, configurationPath: String, configurationLoadedAt: Timestamp,
    clusters: [ClusterStatus], tiers: [TierStatus] = [], stores: [StoreSummary], copies: [CopySummary] = [],
    jobs: [JobSummary], running: [RunRecord], conditions: [Condition]
  ) {
    self.version = version
    self.pid = pid
    self.startedAt = startedAt
    self.configurationPath = configurationPath
    self.configurationLoadedAt = configurationLoadedAt
    self.clusters = clusters
    self.tiers = tiers
    self.stores = stores
    self.copies = copies
    self.jobs = jobs
    self.running = running
    self.conditions = conditions
  }
}

/// One store of several, and what it lacks of what the others hold.
public struct StoreSummary: Sendable, Hashable, Codable {
  public var name: StoreID
  /// `required`, `eventual`.
  public var durability: String
  /// A path, a bucket.
  public var location: String
  /// As it was last seen; nil where it cannot be looked at.
  public var missingObjects: Int?
  public var missingBytes: ByteCount?
  /// Since it lacks something, or could not be looked at; nil where it lacks nothing.
  public var lagSeconds: Double?
  public var error: ErrorReport?

  public init(
    name: StoreID, durability: String, location: String, missingObjects: Int?, missingBytes: ByteCount?,
    lagSeconds: Double?, error: ErrorReport?
  ) {
    self.name = name
    self.durability = durability
    self.location = location
    self.missingObjects = missingObjects
    self.missingBytes = missingBytes
    self.lagSeconds = lagSeconds
    self.error = error
  }
}

/// What a job of kind `copy` has put into its on-copy store.
public struct CopySummary: Sendable, Hashable, Codable {
  public var store: StoreID
  public var cluster: ClusterID
  public var job: JobID
  /// The newest backup that was copied; nil before the first copy.
  public var backup: BackupID?
  /// When the copy was complete, or was last found to be.
  public var copied: Timestamp?

  public init(store: StoreID, cluster: ClusterID, job: JobID, backup: BackupID?, copied: Timestamp?) {
    self.store = store
    self.cluster = cluster
    self.job = job
    self.backup = backup
    self.copied = copied
  }
}

/// How well one cluster is protected.
public struct ClusterStatus: Sendable, Hashable, Codable {
  public var name: ClusterID
  /// Nil until the server or the repository told it.
  public var systemIdentifier: SystemIdentifier?
  /// Instants a restore can reach, oldest first.
  public var windows: [RecoveryWindow]
  /// The same for each store alone.
  public var stores: [StoreWindows]
  /// Ways back to the present, the one that loses least first; empty where nothing can be restored, or before the first
  /// look.
  public var roads: [RecoveryRoad]
  public var lastBackup: Backup?
  /// Nil where no job keeps this cluster's WAL.
  public var wal: WALStatus?

  public init(
    name: ClusterID, systemIdentifier: SystemIdentifier?, windows: [RecoveryWindow], stores: [StoreWindows],
    roads: [RecoveryRoad] = [], lastBackup: Backup?, wal: WALStatus?
  ) {
    self.name = name
    self.systemIdentifier = systemIdentifier
    self.windows = windows
    self.stores = stores
    self.roads = roads
    self.lastBackup = lastBackup
    self.wal = wal
  }
}

/// What one store would restore if the others were lost.
public struct StoreWindows: Sendable, Hashable, Codable {
  public var store: StoreID
  /// Oldest first.
  public var windows: [RecoveryWindow]

  public init(store: StoreID, windows: [RecoveryWindow]) {
    self.store = store
    self.windows = windows
  }
}

/// A span without a gap, each instant of which can be restored.
public struct RecoveryWindow: Sendable, Hashable, Codable {
  /// When the oldest backup of the span was consistent.
  public var from: Timestamp
  /// The newest instant the repository's WAL reaches.
  public var to: Timestamp
  public var fromLSN: LSN
  public var toLSN: LSN
  /// The timeline at the span's end.
  public var timeline: TimelineID

  public init(from: Timestamp, to: Timestamp, fromLSN: LSN, toLSN: LSN, timeline: TimelineID) {
    self.from = from
    self.to = to
    self.fromLSN = fromLSN
    self.toLSN = toLSN
    self.timeline = timeline
  }
}
