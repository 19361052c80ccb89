public import BackupModel
public import Scheduling

/// What a backup is for, as far as its age is concerned.
public enum BackupClass: String, Sendable, Hashable, CaseIterable {
  case physical, logical
  /// Dumps of some tables, taken often.
  case tables
}

/// The limits of the rules: the keys below `monitoring`.
public struct MonitorSettings: Sendable, Hashable {
  /// Between two looks; catalogues are read every tenth time.
  public var interval: Duration
  /// Added to the time by which a success must be there.
  public var grace: Duration
  /// How old the newest backup of a class may be; what is not named follows from the schedules, then from the defaults.
  public var ages: [BackupClass: Duration]
  /// By how many percent a backup may be smaller than usual.
  public var sizeDropPercent: Int
  /// How long an eventual store may lack something.
  public var lagLimit: Duration
  public var clockSkew: Duration
  /// How long before a disk is full it is told.
  public var diskForecast: Duration

  public init(
    interval: Duration = .seconds(30), grace: Duration = .seconds(300), ages: [BackupClass: Duration] = [:],
    sizeDropPercent: Int = 30, lagLimit: Duration = .seconds(900), clockSkew: Duration = .seconds(60),
    diskForecast: Duration = .seconds(6 * 3600)
  ) {
    self.interval = interval
    self.grace = grace
    self.ages = ages
    self.sizeDropPercent = sizeDropPercent
    self.lagLimit = lagLimit
    self.clockSkew = clockSkew
    self.diskForecast = diskForecast
  }
}

/// A job as the monitor sees it.
public struct MonitoredJob: Sendable {
  public var id: JobID
  public var kind: String
  public var cluster: ClusterID
  /// Nil: only by hand.
  public var timetable: Timetable?
  public var deadline: Duration
  /// What its backups are; nil for a job that makes none.
  public var makes: BackupClass?
  /// So many of its newest backups are promised to stay.
  public var promisedCount: Int?

  public init(
    id: JobID, kind: String, cluster: ClusterID, timetable: Timetable? = nil, deadline: Duration = .seconds(86400),
    makes: BackupClass? = nil, promisedCount: Int? = nil
  ) {
    self.id = id
    self.kind = kind
    self.cluster = cluster
    self.timetable = timetable
    self.deadline = deadline
    self.makes = makes
    self.promisedCount = promisedCount
  }
}

/// All that is to be watched.
public struct MonitorPlan: Sendable {
  public struct Cluster: Sendable {
    public var id: ClusterID
    /// libpq's, the password with it.
    public var connection: Secret
    /// Of its streaming wal job; nil where there is none.
    public var slot: String?

    public init(id: ClusterID, connection: Secret, slot: String?) {
      self.id = id
      self.connection = connection
      self.slot = slot
    }
  }

  /// A directory whose disk must not become full.
  public struct Directory: Sendable, Hashable {
    /// `state`, `store:local`, `wal:main`.
    public var name: String
    public var path: String
    /// `the state directory`.
    public var use: String

    public init(name: String, path: String, use: String) {
      self.name = name
      self.path = path
      self.use = use
    }
  }

  public var settings: MonitorSettings
  public var clusters: [Cluster]
  public var jobs: [MonitoredJob]
  public var directories: [Directory]

  public init(
    settings: MonitorSettings = MonitorSettings(), clusters: [Cluster] = [], jobs: [MonitoredJob] = [],
    directories: [Directory] = []
  ) {
    self.settings = settings
    self.clusters = clusters
    self.jobs = jobs
    self.directories = directories
  }
}
