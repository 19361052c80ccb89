internal import BackupModel
internal import BlockingWork
internal import JobState
internal import Logging
internal import Postgres

/// Writes a row to a cluster's server again and again, for as long as its WAL job is configured: what a drill finds of it
/// was written after the backup it restored.
final class HeartbeatKeeper: Sendable {
  static let interval: Duration = .seconds(10)
  private static let longestPause: Duration = .seconds(300)

  private let job: WALJob
  private let cancellation: Cancellation
  private let state: JobStateStore
  private let logger: Logger
  private var conditionID: String { "heartbeat:\(job.cluster)" }

  /// - Parameter ending: Cancelled when the job is changed or removed.
  init(_ job: WALJob, ending cancellation: Cancellation, state: JobStateStore, logger: Logger) {
    self.job = job
    self.cancellation = cancellation
    self.state = state
    var logger = logger
    logger[metadataKey: "cluster"] = "\(job.cluster)"
    self.logger = logger
  }

  func run() async {
    let lane = Lane(label: "heartbeat.\(job.cluster)")
    do {
      try await lane.run { [self] inner in
        let outer = cancellation.addHandler { inner.cancel() }
        defer { cancellation.removeHandler(outer) }
        try keep(inner)
      }
    } catch {
      // By cancellation only.
    }
    if cancellation.isCancelled { logger.attempt { try state.resolve(conditionID) } }
  }

  private func keep(_ cancellation: Cancellation) throws {
    var failures = 0
    while true {
      do {
        try beat(cancellation) {
          if failures > 0 { logger.notice("heartbeats are written again") }
          failures = 0
          logger.attempt { try state.resolve(conditionID) }
        }
      } catch let error as CancellationError {
        throw error
      } catch {
        try cancellation.check()
        failures += 1
        failed(ErrorReport(error), failures, mayPass: (error as? PostgresError)?.isTransient ?? false)
        try cancellation.sleep(min(.seconds(5 << min(failures, 6)), Self.longestPause))
      }
    }
  }

  /// Beats on one connection until that fails.
  private func beat(_ cancellation: Cancellation, written: () -> Void) throws {
    let session = try Connection(
      job.connection.revealText(), applicationName: "backupd heartbeat", cancellation: cancellation)
    defer { session.close() }
    // It proves nothing to standbys, and must not wait for one that is away.
    try session.query("SET synchronous_commit = local; SET statement_timeout = '30s'; SET lock_timeout = '10s'")
    if try session.query("SELECT to_regclass('backupd.heartbeat')").scalar == nil {
      try session.query(Self.table, while: "make the table backupd.heartbeat on")
      logger.notice("table backupd.heartbeat created")
    }
    while true {
      try session.query(Self.row, while: "write a heartbeat to")
      written()
      try cancellation.sleep(Self.interval)
    }
  }

  /// One row, however long it beats.
  private static let table = """
    CREATE SCHEMA IF NOT EXISTS backupd;
    CREATE TABLE IF NOT EXISTS backupd.heartbeat (
      id boolean PRIMARY KEY DEFAULT true CHECK (id), counter bigint NOT NULL, written timestamptz NOT NULL,
      lsn pg_lsn NOT NULL);
    COMMENT ON TABLE backupd.heartbeat IS 'Written by backupd every 10 s: drills look for it in restored clusters.'
    """
  private static let row = """
    INSERT INTO backupd.heartbeat AS h (counter, written, lsn)
    VALUES (1, clock_timestamp(), pg_current_wal_insert_lsn())
    ON CONFLICT (id) DO UPDATE SET counter = h.counter + 1, written = excluded.written, lsn = excluded.lsn
    """

  private func failed(_ report: ErrorReport, _ failures: Int, mayPass: Bool) {
    logger.warning("no heartbeat written, trying again", metadata: ["attempt": "\(failures)", "error": "\(report)"])
    // A restart of the server is everyday; a drill would fail for want of what is missing longer.
    guard failures >= 3 || !mayPass else { return }
    logger.attempt {
      try state.raise(
        Condition(
          id: conditionID, severity: .warning, since: .now(),
          report: ErrorReport(
            summary: "no heartbeat is written to cluster \"\(job.cluster)\": \(report.summary)", detail: report.detail,
            hint: report.hint ?? "Give the role what docs/operations/drills.md names, or set heartbeat: false."),
          cluster: job.cluster))
    }
  }
}
