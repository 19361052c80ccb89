public import BackupModel
public import Repository

/// A job that keeps a cluster's WAL. Long-running; it has no schedule.
public struct WALJob: Sendable, Hashable {
  public var id: JobID
  public var cluster: ClusterID
  public var connection: Secret
  public var slot: String
  public var partialInterval: Duration
  /// Where it is not, what `archive_command` pushes is all there is.
  public var streams: Bool
  /// Whether a pushed file is acknowledged only when every store holds it.
  public var waitsForStores: Bool
  /// Whether the server's commits wait for it.
  public var isSynchronous: Bool
  /// Whether the slot is dropped before the server's disk is full.
  public var dropsSlot: Bool
  /// The server's data directory, where it is on this host.
  public var serverDirectory: String?
  /// Whether a row is written to the server again and again.
  public var beats: Bool

  public init(
    id: JobID, cluster: ClusterID, connection: Secret, slot: String, partialInterval: Duration, streams: Bool = true,
    waitsForStores: Bool = false, isSynchronous: Bool = false, dropsSlot: Bool = false, serverDirectory: String? = nil,
    beats: Bool = false
  ) {
    self.id = id
    self.cluster = cluster
    self.connection = connection
    self.slot = slot
    self.partialInterval = partialInterval
    self.streams = streams
    self.waitsForStores = waitsForStores
    self.isSynchronous = isSynchronous
    self.dropsSlot = dropsSlot
    self.serverDirectory = serverDirectory
    self.beats = beats
  }
}

/// What is kept of one cluster, and the server whose clock is asked before anything goes.
public struct ClusterRetention: Sendable, Hashable {
  public var rules: RetentionRules
  /// Of each on-copy store that copies of this cluster go to.
  public var archives: [StoreID: RetentionRules]
  /// libpq's, the password with it.
  public var connection: Secret

  public init(rules: RetentionRules, archives: [StoreID: RetentionRules] = [:], connection: Secret) {
    self.rules = rules
    self.archives = archives
    self.connection = connection
  }
}

/// All jobs of a configuration.
public struct JobSet: Sendable {
  public let jobs: [Job]
  private let indices: [JobID: Int]
  public var wal: [WALJob]
  /// Runs of one group that go on at the same time; 1 where nothing is said.
  public var widths: [LaneGroup: Int]
  public var retention: [ClusterID: ClusterRetention]
  /// How long ended runs are remembered.
  public var history: Duration

  public init(
    jobs: [Job] = [], wal: [WALJob] = [], widths: [LaneGroup: Int] = [:],
    retention: [ClusterID: ClusterRetention] = [:], history: Duration = .seconds(400 * 86400)
  ) {
    self.jobs = jobs
    indices = Dictionary(jobs.indices.map { (jobs[$0].id, $0) }, uniquingKeysWith: { first, _ in first })
    self.wal = wal
    self.widths = widths
    self.retention = retention
    self.history = history
  }

  public var names: [JobID] { (jobs.map(\.id) + wal.map(\.id)).sorted() }
  func job(_ id: JobID) -> Job? { indices[id].map { jobs[$0] } }
  func walJob(of cluster: ClusterID) -> WALJob? { wal.first { $0.cluster == cluster } }
  func width(of group: LaneGroup) -> Int { max(1, widths[group] ?? 1) }
}
