public import BackupModel
public import Repository
public import Scheduling

/// A job that takes physical backups, with all it needs resolved.
public struct PhysicalJob: Sendable, Hashable {
  public var id: JobID
  public var cluster: ClusterID
  /// libpq's, the password with it.
  public var connection: Secret
  /// Where the WAL comes from while the cluster has no job for it; differs where backups are a standby's.
  public var walConnection: Secret
  /// Nil: only by hand.
  public var schedule: CronExpression?
  public var zone: TimeZoneRules
  public var checkpoint: BackupCheckpoint
  /// A run that takes longer is cancelled and failed; nil: never.
  public var deadline: Duration?
  /// Attempts after the first.
  public var retries: Int
  public var missed: MissedRuns
  /// Threads that compress and seal.
  public var workers: Int
  public var maximumRate: ByteCount?
  /// Store every page anew.
  public var full: Bool
  public var source: BackupSourceChoice
  /// The server's data directory on this host.
  public var dataDirectory: String?
  /// zstd's.
  public var compressionLevel: Int
  /// Everything else on the host comes first.
  public var isIdle: Bool

  public init(
    id: JobID, cluster: ClusterID, connection: Secret, walConnection: Secret? = nil, schedule: CronExpression?,
    zone: TimeZoneRules,
    checkpoint: BackupCheckpoint, deadline: Duration?, retries: Int, missed: MissedRuns, workers: Int,
    maximumRate: ByteCount?, full: Bool = false, source: BackupSourceChoice = .auto, dataDirectory: String? = nil,
    compressionLevel: Int = 1, isIdle: Bool = false
  ) {
    self.id = id
    self.cluster = cluster
    self.connection = connection
    self.walConnection = walConnection ?? connection
    self.schedule = schedule
    self.zone = zone
    self.checkpoint = checkpoint
    self.deadline = deadline
    self.retries = retries
    self.missed = missed
    self.workers = workers
    self.maximumRate = maximumRate
    self.full = full
    self.source = source
    self.dataDirectory = dataDirectory
    self.compressionLevel = compressionLevel
    self.isIdle = isIdle
  }
}

/// Where the files come from: over the replication protocol, or read in place.
public enum BackupSourceChoice: String, Sendable, Hashable { case auto, stream, direct }

public enum BackupCheckpoint: Sendable, Hashable { case fast, spread }

/// What happens to runs that were due while the daemon was not running: one takes place for all, or none.
public enum MissedRuns: Sendable, Hashable { case once, skip }

/// A job that keeps a cluster's WAL. Long-running; it has no schedule.
public struct WALJob: Sendable, Hashable {
  public var id: JobID
  public var cluster: ClusterID
  public var connection: Secret
  public var slot: String
  public var partialInterval: Duration

  public init(id: JobID, cluster: ClusterID, connection: Secret, slot: String, partialInterval: Duration) {
    self.id = id
    self.cluster = cluster
    self.connection = connection
    self.slot = slot
    self.partialInterval = partialInterval
  }
}

/// All jobs of a configuration.
public struct JobSet: Sendable, Hashable {
  public var physical: [PhysicalJob]
  public var wal: [WALJob]
  /// Backups of different clusters that run at the same time.
  public var backupWidth: Int
  /// What each cluster's jobs promise to keep.
  public var retention: [ClusterID: RetentionRules]

  public init(
    physical: [PhysicalJob] = [], wal: [WALJob] = [], backupWidth: Int = 1,
    retention: [ClusterID: RetentionRules] = [:]
  ) {
    self.retention = retention
    self.physical = physical
    self.wal = wal
    self.backupWidth = backupWidth
  }

  public var names: [JobID] { (physical.map(\.id) + wal.map(\.id)).sorted() }
  func physicalJob(_ id: JobID) -> PhysicalJob? { physical.first { $0.id == id } }
  func walJob(of cluster: ClusterID) -> WALJob? { wal.first { $0.cluster == cluster } }
}
