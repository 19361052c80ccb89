public import BackupModel
public import Varlink

/// The methods of `io.backupd.Control`.
public enum ControlMethod: String, Sendable, CaseIterable {
  case ping = "Ping"
  case getStatus = "GetStatus"
  case listJobs = "ListJobs"
  case runJob = "RunJob"
  case cancelRun = "CancelRun"
  case listRuns = "ListRuns"
  case reload = "Reload"
  case getWALStatus = "GetWALStatus"
  case getMetrics = "GetMetrics"
  case pushWAL = "PushWAL"
  case acknowledgeGaps = "AcknowledgeGaps"
  case testAlerts = "TestAlerts"

  /// - Parameter fullName: `io.backupd.Control.Ping`.
  public init?(fullName: String) {
    guard fullName.hasPrefix(ControlInterface.name + ".") else { return nil }
    self.init(rawValue: String(fullName.dropFirst(ControlInterface.name.utf8.count + 1)))
  }
  public var fullName: String { ControlInterface.name + "." + rawValue }

  /// Whether it changes something, which takes more rights than reading.
  public var isAction: Bool {
    switch self {
    case .runJob, .cancelRun, .reload, .pushWAL, .acknowledgeGaps, .testAlerts: true
    case .ping, .getStatus, .listJobs, .listRuns, .getWALStatus, .getMetrics: false
    }
  }
}

/// The answer of `Ping`.
public struct PingReply: Sendable, Hashable, Codable {
  public var version: String
  public var pid: Int32
  public var startedAt: Timestamp
  public init(version: String, pid: Int32, startedAt: Timestamp) {
    self.version = version
    self.pid = pid
    self.startedAt = startedAt
  }
}

/// The answer of `GetStatus`.
public struct GetStatusReply: Sendable, Hashable, Codable {
  public var status: DaemonStatus
  public init(status: DaemonStatus) { self.status = status }
}

/// The answer of `ListJobs`.
public struct ListJobsReply: Sendable, Hashable, Codable {
  public var jobs: [JobSummary]
  public init(jobs: [JobSummary]) { self.jobs = jobs }
}

/// What `RunJob` takes.
public struct RunJobParameters: VarlinkParameters {
  public static let fields: Set<String> = ["job", "wait"]
  public var job: JobID
  /// Answer when the run has ended rather than when it has begun. A call with `more` always waits.
  public var wait: Bool?
  public init(job: JobID, wait: Bool?) {
    self.job = job
    self.wait = wait
  }
}

/// Each answer of `RunJob`.
public struct RunJobReply: Sendable, Hashable, Codable {
  public var record: RunRecord
  public init(record: RunRecord) { self.record = record }
}

/// What `CancelRun` takes.
public struct CancelRunParameters: VarlinkParameters {
  public static let fields: Set<String> = ["run"]
  public var run: RunID
  public init(run: RunID) { self.run = run }
}

/// What `AcknowledgeGaps` takes.
public struct AcknowledgeGapsParameters: VarlinkParameters {
  public static let fields: Set<String> = ["cluster"]
  /// Nil for all.
  public var cluster: ClusterID?
  public init(cluster: ClusterID?) { self.cluster = cluster }
}

/// The answer of `AcknowledgeGaps`.
public struct AcknowledgeGapsReply: Sendable, Hashable, Codable {
  public var clusters: [ClusterID]
  public init(clusters: [ClusterID]) { self.clusters = clusters }
}

/// What `TestAlerts` takes.
public struct TestAlertsParameters: VarlinkParameters {
  public static let fields: Set<String> = ["channel"]
  /// Nil for all.
  public var channel: AlertChannelID?
  public init(channel: AlertChannelID?) { self.channel = channel }
}

/// The answer of `TestAlerts`.
public struct TestAlertsReply: Sendable, Hashable, Codable {
  /// By name.
  public var results: [AlertTestResult]
  public init(results: [AlertTestResult]) { self.results = results }
}

/// What `PushWAL` takes.
public struct PushWALParameters: VarlinkParameters {
  public static let fields: Set<String> = ["cluster", "path"]
  public var cluster: ClusterID
  /// Absolute.
  public var path: String
  public init(cluster: ClusterID, path: String) {
    self.cluster = cluster
    self.path = path
  }
}

/// What `ListRuns` takes.
public struct ListRunsParameters: VarlinkParameters {
  public static let fields: Set<String> = ["job", "limit", "follow"]
  /// Only this job's runs.
  public var job: JobID?
  /// At most this many, the newest; 1 to ``maximumLimit``.
  public var limit: Int?
  /// Go on with an answer for each change of a run; only in a call with `more`.
  public var follow: Bool?

  public static let standardLimit = 50
  /// Keeps an answer within some megabytes.
  public static let maximumLimit = 1000

  public init(job: JobID?, limit: Int?, follow: Bool?) {
    self.job = job
    self.limit = limit
    self.follow = follow
  }
}

/// Each answer of `ListRuns`.
public struct ListRunsReply: Sendable, Hashable, Codable {
  /// Oldest first.
  public var runs: [RunRecord]
  public init(runs: [RunRecord]) { self.runs = runs }
}

/// The answer of `Reload`.
public struct ReloadReply: Sendable, Hashable, Codable {
  /// What is different now, a sentence each; empty where nothing is.
  public var differences: [String]
  public init(differences: [String]) { self.differences = differences }
}

/// The answer of `GetMetrics`.
public struct GetMetricsReply: Sendable, Hashable, Codable {
  /// In Prometheus' text format.
  public var text: String
  public init(text: String) { self.text = text }
}

/// The answer of `GetWALStatus`.
public struct GetWALStatusReply: Sendable, Hashable, Codable {
  public var clusters: [WALStatus]
  public init(clusters: [WALStatus]) { self.clusters = clusters }
}
