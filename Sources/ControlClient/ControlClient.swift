public import BackupModel
public import BlockingWork
public import ControlProtocol
internal import Varlink

/// The calls `backupctl` makes to the daemon. Each opens a connection of its own and blocks until answered.
public struct ControlClient: Sendable {
  private let path: String
  private let cancellation: Cancellation

  /// - Parameter cancellation: The way out of every call.
  public init(socketPath: String, cancellation: Cancellation = Cancellation()) {
    path = socketPath
    self.cancellation = cancellation
  }

  /// - Throws: ``ControlError``, as every call here; `CancellationError` once cancelled.
  public func ping() throws -> PingReply { try call(.ping, VarlinkNothing()) }

  public func status() throws -> DaemonStatus {
    let reply: GetStatusReply = try call(.getStatus, VarlinkNothing())
    return reply.status
  }

  public func jobs() throws -> [JobSummary] {
    let reply: ListJobsReply = try call(.listJobs, VarlinkNothing())
    return reply.jobs
  }

  /// Starts a run.
  /// - Returns: Its record once it has begun.
  public func startJob(_ job: JobID) throws -> RunRecord {
    let reply: RunJobReply = try call(.runJob, RunJobParameters(job: job, wait: false))
    return reply.record
  }

  /// Starts a run and waits until it has ended. A run that ended badly is returned, not thrown.
  /// - Parameter progress: Called with the record at the start, at each change and at the end.
  /// - Returns: The last record.
  public func runJob(_ job: JobID, progress: (RunRecord) throws -> Void = { _ in }) throws -> RunRecord {
    var last: RunRecord?
    try callMore(.runJob, RunJobParameters(job: job, wait: true)) { (reply: RunJobReply) in
      last = reply.record
      try progress(reply.record)
    }
    guard let last else { throw ControlError(VarlinkError.connectionLost(path: path), path: path) }
    return last
  }

  /// Tells a live run to stop.
  public func cancel(_ run: RunID) throws {
    let _: VarlinkNothing = try call(.cancelRun, CancelRunParameters(run: run))
  }

  /// The newest runs, oldest first.
  /// - Parameter limit: 1 to 1000; 50 unless given.
  public func runs(job: JobID? = nil, limit: Int? = nil) throws -> [RunRecord] {
    let reply: ListRunsReply = try call(.listRuns, ListRunsParameters(job: job, limit: limit, follow: nil))
    return reply.runs
  }

  /// Calls `each` with the newest runs and then with every change of one, until the daemon stops or `each` throws.
  public func followRuns(job: JobID? = nil, limit: Int? = nil, each: ([RunRecord]) throws -> Void) throws {
    try callMore(.listRuns, ListRunsParameters(job: job, limit: limit, follow: true)) { (reply: ListRunsReply) in
      if !reply.runs.isEmpty { try each(reply.runs) }
    }
  }

  /// Has the daemon read its configuration again.
  /// - Returns: What is different now, a sentence each.
  public func reload() throws -> [String] {
    let reply: ReloadReply = try call(.reload, VarlinkNothing())
    return reply.differences
  }

  /// Has the daemon take note that missing WAL is known.
  /// - Parameter cluster: Nil for all.
  /// - Returns: The clusters of which it had a condition.
  public func acknowledgeGaps(of cluster: ClusterID?) throws -> [ClusterID] {
    let reply: AcknowledgeGapsReply = try call(.acknowledgeGaps, AcknowledgeGapsParameters(cluster: cluster))
    return reply.clusters
  }

  /// Has the daemon send a test message.
  /// - Parameter channel: Nil for all.
  /// - Returns: How each channel took it, by name.
  public func testAlerts(_ channel: AlertChannelID? = nil) throws -> [AlertTestResult] {
    let reply: TestAlertsReply = try call(.testAlerts, TestAlertsParameters(channel: channel))
    return reply.results
  }

  /// The daemon in numbers, in Prometheus' text format.
  public func metrics() throws -> String {
    let reply: GetMetricsReply = try call(.getMetrics, VarlinkNothing())
    return reply.text
  }

  public func walStatus() throws -> [WALStatus] {
    let reply: GetWALStatusReply = try call(.getWALStatus, VarlinkNothing())
    return reply.clusters
  }

  private func call<Reply: Decodable>(_ method: ControlMethod, _ parameters: some Encodable) throws -> Reply {
    try translatingErrors {
      var connection = try VarlinkConnection(path: path, cancellation: cancellation)
      return try connection.call(method.fullName, parameters, returning: Reply.self)
    }
  }

  private func callMore<Reply: Decodable>(
    _ method: ControlMethod, _ parameters: some Encodable, each: (Reply) throws -> Void
  ) throws {
    // An error of `each` is the caller's own and passes as it is.
    var own: (any Error)?
    try translatingErrors {
      var connection = try VarlinkConnection(path: path, cancellation: cancellation)
      do {
        try connection.callMore(method.fullName, parameters, returning: Reply.self) { reply in
          do {
            try each(reply)
          } catch {
            own = error
            throw error
          }
        }
      } catch  where own != nil {}
    }
    if let own { throw own }
  }

  private func translatingErrors<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as CancellationError {
      throw error
    } catch {
      throw ControlError(error, path: path)
    }
  }
}
