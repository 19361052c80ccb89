public import BackupModel
public import Scheduling

/// The keys below `daemon`.
public struct DaemonSettings: Sendable, Hashable {
  /// Job state, WAL landing files, fingerprint caches.
  public var stateDirectory: String
  public var socket: String
  /// Members may act over the control socket; nil: only root and the daemon's own user.
  public var adminGroup: String?
  /// Threads that compress and seal, for all runs together.
  public var workers: Int
  /// How long records of ended runs are kept.
  public var history: Duration
  public var widths: GroupWidths
}

/// The keys below `monitoring`: when something is wrong enough to be told.
public struct MonitoringSettings: Sendable, Hashable {
  /// Between two looks.
  public var interval: Duration
  /// Added to the time by which a job must succeed.
  public var grace: Duration
  /// How old the newest backup of a class may be; nil: as the schedules allow.
  public var physicalAge: Duration?
  public var logicalAge: Duration?
  public var tablesAge: Duration?
  /// By how many percent a backup may be smaller than those before it.
  public var sizeDropPercent: Int
  /// How long an eventual store may lack something.
  public var lagLimit: Duration
  public var clockSkew: Duration
  /// How long before a disk is full it is told.
  public var diskForecast: Duration
}

/// How many runs of a group go on at the same time.
public struct GroupWidths: Sendable, Hashable {
  public var backup: Int
  public var validation: Int
  public var monitoring: Int
}

/// One of `clusters`.
public struct ClusterSettings: Sendable, Hashable {
  public var id: ClusterID
  /// A connection string of libpq, without a password.
  public var connection: String
  /// Where physical backups are taken from instead.
  public var standby: String?
  public var dataDirectory: String?
  public var password: SecretSource?
  /// The directory of the programs that fit the server.
  public var programs: String?
}

/// The keys below `repository`.
public struct RepositorySettings: Sendable, Hashable {
  public var encryption: Encryption
  /// At least one, in the order of the file.
  public var stores: [StoreSettings]
}

/// How the server gets to the checkpoint a backup begins with.
public enum CheckpointMode: String, Sendable, Hashable, CaseIterable { case fast, spread }

/// What a run gets of the host beside others: the same, or what they leave.
public enum RunPriority: String, Sendable, Hashable, CaseIterable { case normal, idle }

/// Where a physical backup reads the cluster's files.
public enum BackupSource: String, Sendable, Hashable, CaseIterable { case auto, stream, direct }

/// What happens when a job is due while its last run goes on.
public enum OverlapPolicy: String, Sendable, Hashable, CaseIterable { case queue, skip }

/// What all jobs with a schedule have.
public struct RunSettings: Sendable, Hashable {
  /// Nil: only by hand.
  public var schedule: CronExpression?
  /// The zone of the schedule.
  public var timeZone: TimeZoneRules
  /// A run begins up to so much later.
  public var jitter: Duration
  public var missed: MissedRuns
  public var overlap: OverlapPolicy
  /// A run that takes longer is cancelled and failed.
  public var deadline: Duration
  /// Attempts after the first, with growing pauses.
  public var retries: Int
  /// Of runs that wait, those of the lowest rank go first.
  public var rank: Int
}

/// What only physical jobs have.
public struct PhysicalSettings: Sendable, Hashable {
  public var checkpoint: CheckpointMode
  public var source: BackupSource
  /// The promise how long backups stay; nil: for ever.
  public var keep: RetentionPolicy?
  /// The server sends at most so much a second; nil: as much as it can.
  public var rate: ByteCount?
  /// Store every page anew.
  public var full: Bool
  /// zstd's level.
  public var compression: Int
  public var priority: RunPriority
  public var runs: RunSettings
}

/// What only logical jobs have.
public struct LogicalSettings: Sendable, Hashable {
  public enum Content: Sendable, Hashable { case all, data, schema }
  public var database: String?
  public var tables: [String]
  public var excludedTables: [String]
  public var schemas: [String]
  public var content: Content
  public var inserts: Bool
  public var serializableDeferrable: Bool
  public var lockTimeout: Duration?
  /// pg_dumps at a time.
  public var parallel: Int
  /// The promise how long backups stay; nil: for ever.
  public var keep: RetentionPolicy?
  /// Store everything anew.
  public var full: Bool
  /// zstd's level.
  public var compression: Int
  public var runs: RunSettings
}

/// What happens when neither the landing directory nor the server can hold more WAL.
public enum FullDiskPolicy: String, Sendable, Hashable, CaseIterable {
  case wait
  case dropSlot = "drop-slot"
}

/// When a pushed WAL segment counts as archived.
public enum PushAcknowledgement: String, Sendable, Hashable, CaseIterable { case landing, stores }

/// What only WAL jobs have.
public struct WALSettings: Sendable, Hashable {
  public var slot: String
  /// Any instant in this span up to now is to stay reachable; nil: as far as backups reach.
  public var recoveryWindow: Duration?
  /// How often the open segment is shipped.
  public var partialInterval: Duration
  /// Whether WAL is streamed; where it is not, the server pushes it.
  public var streaming: Bool
  public var acknowledge: PushAcknowledgement
  public var onFull: FullDiskPolicy
  /// Whether the server's commits wait for this job.
  public var synchronous: Bool
  /// Whether a row of ours is written to the server again and again.
  public var heartbeat: Bool
}

/// What only copy jobs have.
public struct CopySettings: Sendable, Hashable {
  /// An on-copy store.
  public var store: StoreID
  /// How long copies stay there; nil: for ever.
  public var keep: RetentionPolicy?
  public var runs: RunSettings
}

/// What only jobs of kind `check` have.
public struct HealthSettings: Sendable, Hashable {
  public var runs: RunSettings
  /// Whether the newest dump is restored.
  public var restores: Bool
  /// The job whose dumps; nil: any.
  public var dumps: JobID?
  public var checks: String?
  public var checkTimeout: Duration
  /// libpq's for the server that gets the scratch database; nil: the cluster's own.
  public var server: String?
  public var serverPassword: SecretSource?
  public var sizeLimit: ByteCount?
}

/// One of `jobs`.
public struct JobSettings: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    case physical(PhysicalSettings)
    case logical(LogicalSettings)
    case wal(WALSettings)
    case copy(CopySettings)
    case drill(DrillSettings)
    case check(HealthSettings)

    /// As in the file.
    public var name: String {
      switch self {
      case .physical: "physical"
      case .logical: "logical"
      case .wal: "wal"
      case .copy: "copy"
      case .drill: "drill"
      case .check: "check"
      }
    }
  }
  public var id: JobID
  public var cluster: ClusterID
  public var kind: Kind

  /// Nil for jobs that run only by hand, and for WAL jobs.
  public var schedule: CronExpression? {
    switch kind {
    case .physical(let settings): settings.runs.schedule
    case .copy(let settings): settings.runs.schedule
    case .drill(let settings): settings.runs.schedule
    case .check(let settings): settings.runs.schedule
    case .logical(let settings): settings.runs.schedule
    case .wal: nil
    }
  }
}
