/// How a run ended.
public enum RunOutcome: String, Sendable, Hashable, Codable {
  case succeeded
  /// The work exists but a required store lacks it: exit status 1, completed later from the queue.
  case incomplete
  case failed
  /// Somebody asked for it to stop.
  case cancelled
  /// The daemon stopped or died while it was running.
  case interrupted
  /// Not run; the record's `error` says why.
  case skipped
}

/// Why a run began.
public enum RunTrigger: String, Sendable, Hashable, Codable { case schedule, manual, retry, missed }

/// How far a run has come. Totals are estimates until they are known.
public struct RunProgress: Sendable, Hashable, Codable {
  public var phase: String
  public var doneBytes: ByteCount
  public var totalBytes: ByteCount?
  public init(phase: String, doneBytes: ByteCount = ByteCount(0), totalBytes: ByteCount? = nil) {
    self.phase = phase
    self.doneBytes = doneBytes
    self.totalBytes = totalBytes
  }
}

/// One phase of a run and how long it took.
public struct RunPhase: Sendable, Hashable, Codable {
  public var name: String
  public var durationSeconds: Double
  public init(name: String, durationSeconds: Double) {
    self.name = name
    self.durationSeconds = durationSeconds
  }
}

/// One execution of a job: live while `outcome` is nil. The keys of `backupctl runs --json`.
public struct RunRecord: Sendable, Hashable, Codable {
  public var run: RunID
  public var job: JobID
  /// The job's kind: `physical`, `wal`, `prune`.
  public var kind: String
  public var cluster: ClusterID?
  public var trigger: RunTrigger
  /// When it was due or asked for.
  public var due: Timestamp
  public var started: Timestamp
  public var finished: Timestamp?
  public var outcome: RunOutcome?
  public var progress: RunProgress?
  public var phases: [RunPhase]
  public var backup: BackupID?
  public var totalBytes: ByteCount?
  public var newBytes: ByteCount?
  public var storedBytes: ByteCount?
  public var warnings: [String]
  public var error: ErrorReport?
  /// How many times of the schedule this speaks of, `due` being the first; nil for one.
  public var times: Int?
  /// What was asked of each store beyond this host while it went on, WAL and whatever else ran beside it included; nil
  /// where there is no such store.
  public var requests: [StoreRequests]?
  /// What checks of the restored data found; nil for runs that make none.
  public var checks: [CheckResult]?
  /// Nil for runs of other kinds.
  public var drill: DrillRecord?
  /// How often it was tried; nil where once was enough.
  public var attempts: Int?

  public init(
    run: RunID, job: JobID, kind: String, cluster: ClusterID?, trigger: RunTrigger, due: Timestamp, started: Timestamp
  ) {
    self.run = run
    self.job = job
    self.kind = kind
    self.cluster = cluster
    self.trigger = trigger
    self.due = due
    self.started = started
    phases = []
    warnings = []
  }
}

extension RunRecord {
  /// Whether there is a backup that was not there before; drills and checks restore one, and copies copy one.
  public var madeBackup: Bool { backup != nil && (kind == "physical" || kind == "logical") }
}

/// What was asked of one store over the network.
public struct StoreRequests: Sendable, Hashable, Codable {
  public var store: StoreID
  public var requests: Int
  /// Of these, made again after a failure.
  public var retries: Int
  public var sentBytes: ByteCount
  public var receivedBytes: ByteCount

  public init(store: StoreID, requests: Int, retries: Int, sentBytes: ByteCount, receivedBytes: ByteCount) {
    self.store = store
    self.requests = requests
    self.retries = retries
    self.sentBytes = sentBytes
    self.receivedBytes = receivedBytes
  }
}

/// A job as lists show it: the keys of `backupctl jobs --json`.
public struct JobSummary: Sendable, Hashable, Codable {
  public var name: JobID
  public var kind: String
  public var cluster: ClusterID?
  public var schedule: String?
  public var timezone: String?
  public var nextRun: Timestamp?
  public var lastRun: Timestamp?
  public var lastOutcome: RunOutcome?
  public var lastSuccess: Timestamp?
  public var consecutiveFailures: Int
  /// The live run, where there is one.
  public var running: RunID?

  public init(
    name: JobID, kind: String, cluster: ClusterID?, schedule: String?, timezone: String?, nextRun: Timestamp?,
    lastRun: Timestamp?, lastOutcome: RunOutcome?, lastSuccess: Timestamp?, consecutiveFailures: Int, running: RunID?
  ) {
    self.name = name
    self.kind = kind
    self.cluster = cluster
    self.schedule = schedule
    self.timezone = timezone
    self.nextRun = nextRun
    self.lastRun = lastRun
    self.lastOutcome = lastOutcome
    self.lastSuccess = lastSuccess
    self.consecutiveFailures = consecutiveFailures
    self.running = running
  }
}

/// How far the WAL of a cluster has come: an element of `backupctl wal status --json`.
public struct WALStatus: Sendable, Hashable, Codable {
  public struct Store: Sendable, Hashable, Codable {
    public var name: StoreID
    /// Everything before this is durable in the store, slices of the open segment included.
    public var durableLSN: LSN?
    public var lagSeconds: Double?
    public init(name: StoreID, durableLSN: LSN?, lagSeconds: Double?) {
      self.name = name
      self.durableLSN = durableLSN
      self.lagSeconds = lagSeconds
    }
  }
  public var cluster: ClusterID
  public var systemIdentifier: SystemIdentifier?
  public var timeline: TimelineID?
  public var slot: String
  /// `streaming`, `connecting`, `waiting`, `full`, `archiving` or `stopped`.
  public var state: String
  public var receivedLSN: LSN?
  /// Durable in the landing file, and acknowledged to the server.
  public var flushedLSN: LSN?
  /// The server's own position at its last word.
  public var serverLSN: LSN?
  public var lastMessage: Timestamp?
  public var stores: [Store]
  /// Full segments landed and not yet in every required store.
  public var queuedSegments: Int
  /// Received in the last seconds; nil at first.
  public var bytesPerSecond: Double?
  /// Whether the server's commits wait for this job now; nil where it is not synchronous, or the server does not say.
  public var commitsWait: Bool?
  /// Whether a server that is lost takes no commit along: they wait, and the daemon is on another host. Nil as before.
  public var losesNothing: Bool?
  public var error: ErrorReport?

  public init(cluster: ClusterID, slot: String, state: String) {
    self.cluster = cluster
    self.slot = slot
    self.state = state
    stores = []
    queuedSegments = 0
  }
}
