internal import BackupModel
internal import BlockingWork
internal import DatabaseChecks
internal import DurableFiles
internal import Postgres
internal import ServerPrograms

#if canImport(Glibc)
  import Glibc
#endif

/// What a drill looks at while its server runs.
struct DrillChecks {
  let options: DrillOptions
  let plan: DrillPlanner.Plan
  let login: ScratchLogin
  let cancellation: Cancellation
  /// An older heartbeat than this behind the end of WAL is none.
  private static let freshness: Duration = .seconds(60)
  /// PostgreSQL's page header: what the end of the last record and that of replay may differ by.
  private static let pageHeader: UInt64 = 40

  /// - Throws: ``DrillError/notReplayed(_:wanted:replayed:)``.
  func replayedLSN() throws -> LSN? {
    let session = try connect()
    defer { session.close() }
    let replayed = try session.query("SELECT pg_last_wal_replay_lsn()").scalar.map { try LSN($0) }
    if let wanted = plan.restore.targetLSN {
      guard let replayed, replayed.value + Self.pageHeader >= wanted.value else {
        throw DrillError.notReplayed(plan.restore.backup, wanted: wanted, replayed: replayed)
      }
    }
    return replayed
  }

  private func connect() throws -> Connection {
    try Connection(login.connection, applicationName: "backupd drill", cancellation: cancellation)
  }

  /// A row that the daemon wrote to the original after the backup had ended.
  func heartbeat(_ interval: Duration) throws -> (result: CheckResult, written: Timestamp?) {
    let session = try connect()
    defer { session.close() }
    func failed(_ message: String) -> CheckResult {
      CheckResult(name: "heartbeat", verdict: .critical, message: message)
    }
    guard try session.query("SELECT to_regclass('backupd.heartbeat')").scalar != nil else {
      return (failed("There is no table backupd.heartbeat in database \"\(login.database)\"."), nil)
    }
    let row = try session.query(
      "SELECT counter, lsn, (extract(epoch FROM written) * 1000000)::bigint AS written FROM backupd.heartbeat")
    guard let counter = row[0, "counter"], let position = try row[0, "lsn"].map({ try LSN($0) }),
      let written = row[0, "written"].flatMap({ Int64($0) }).map(Timestamp.init(microseconds:))
    else { return (failed("The table backupd.heartbeat is empty."), nil) }
    var result = CheckResult(
      name: "heartbeat", value: counter, message: "Written at \(written), after the backup.")
    let header = plan.restore.header
    if position <= header.stopLSN {
      result = failed("The newest was written at \(written), before the backup ended: nothing after it is proven.")
    } else if let late = lateness(written, interval) {
      result.verdict = late.verdict
      result.message = "The newest is \(DurationText.format(late.age)) older than the target."
    }
    return (result, written)
  }

  private func lateness(_ written: Timestamp, _ interval: Duration) -> (age: Duration, verdict: CheckResult.Verdict)? {
    var target = plan.known
    var verdict = CheckResult.Verdict.critical
    // At any instant of the past the daemon may have been down; at the end of WAL it has just shipped some.
    if case .time(let time) = plan.restore.target { (target, verdict) = (time, .warning) }
    let age = target - written
    return age > max(Self.freshness, interval * 3) ? (age, verdict) : nil
  }

  /// - Throws: `PostgresError`, `CancellationError`.
  func operators(_ file: CheckFile) throws -> [CheckResult] {
    try file.run(
      on: login.connection, timeout: options.checkTimeout, cancellation: cancellation)
  }

  /// `pg_amcheck` of all databases; the extension is made where it is missing, in this copy.
  func amcheck(version: Int, log: String, directory: String) throws -> (result: CheckResult, ran: Bool) {
    let session = try connect()
    defer { session.close() }
    let available = try session.query("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").scalar
    guard available != nil else {
      let message = "The extension amcheck is not installed beside this PostgreSQL."
      return (CheckResult(name: "pg_amcheck", verdict: .warning, message: message), false)
    }
    let program = try ServerProgram.find("pg_amcheck", version: version, in: options.binDirectory)
    try DurableFile.create(log, with: [])
    let process = try ChildProcess(
      program,
      [
        "--all", "--install-missing", "--jobs", "\(options.workers)", "--maintenance-db",
        login.connection(to: "template1"),
      ], as: nil, inheriting: .withoutStoreKeys, directory: directory, log: log)
    let status = try wait(for: process)
    let lines = try ServerLog(log, from: 0).lines
    guard status != 0 else { return (CheckResult(name: "pg_amcheck", value: "sound"), true) }
    let text = lines.prefix(5).joined(separator: " / ")
    return (
      CheckResult(
        name: "pg_amcheck", value: "status \(status >> 8)", verdict: .critical, message: String(text.prefix(500))),
      true
    )
  }

  private func wait(for process: ChildProcess) throws -> Int32 {
    do {
      while true {
        if let status = process.ended() { return status }
        try cancellation.sleep(.milliseconds(50))
      }
    } catch {
      kill(process.pid, SIGTERM)
      process.reap()
      throw error
    }
  }
}
