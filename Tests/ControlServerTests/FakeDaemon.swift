import BackupModel
import BlockingWork
import ControlClient
import ControlProtocol
import ControlServer
import Logging
import Synchronization
import TestSupport

/// A daemon with one job, "nightly", whose runs take three updates.
final class FakeDaemon: ControlHandler {
  private let events = Mutex<[String]>([])
  /// What callers brought about, in order.
  var log: [String] { events.withLock { $0 } }
  private func note(_ event: String) { events.withLock { $0.append(event) } }

  static let started = Timestamp(seconds: 1_793_588_400)
  static let job = JobID(unchecked: "nightly")
  static let live = RunID(started: started)

  static func record(phase: String? = nil, outcome: RunOutcome? = nil) -> RunRecord {
    var record = RunRecord(
      run: live, job: job, kind: "physical", cluster: ClusterID(unchecked: "oauth"), trigger: .manual, due: started,
      started: started)
    record.progress = phase.map { RunProgress(phase: $0, doneBytes: ByteCount(10), totalBytes: ByteCount(100)) }
    record.outcome = outcome
    record.finished = outcome.map { _ in started + .seconds(3) }
    return record
  }

  static let wal: WALStatus = {
    var status = WALStatus(cluster: ClusterID(unchecked: "oauth"), slot: "backupd_oauth", state: "streaming")
    status.timeline = TimelineID(1)
    status.flushedLSN = LSN(0x16_B374_D848)
    status.stores = [.init(name: StoreID(unchecked: "local"), durableLSN: LSN(0x16_B300_0000), lagSeconds: 1.5)]
    return status
  }()

  static let backup = Backup(
    id: BackupID(started: started), cluster: ClusterID(unchecked: "oauth"), kind: .physical, job: job, started: started,
    finished: started + .seconds(3), startLSN: LSN(1 << 24), stopLSN: LSN(2 << 24), timeline: TimelineID(1),
    systemIdentifier: SystemIdentifier(7_412_345_678_901_234_567), sequence: 1, totalBytes: ByteCount(1 << 33),
    newBytes: ByteCount(1 << 30), storedBytes: ByteCount(1 << 28), parent: nil, stores: [StoreID(unchecked: "local")],
    missingStores: [])

  static let summary = JobSummary(
    name: job, kind: "physical", cluster: ClusterID(unchecked: "oauth"), schedule: "0 2 * * *", timezone: "UTC",
    nextRun: started, lastRun: nil, lastOutcome: .failed, lastSuccess: nil, consecutiveFailures: 1, running: nil)

  static let road = RecoveryRoad(
    store: StoreID(unchecked: "local"), means: .wal, backup: backup.id, to: started + .seconds(60), lossSeconds: 4.5)

  static let tier: TierStatus = {
    var tier = TierStatus(
      name: TierID(unchecked: "tokens"), cluster: ClusterID(unchecked: "oauth"), tables: ["oauth_tokens"],
      rpoSeconds: 300, rtoSeconds: 900, roads: [road])
    tier.lossSeconds = 4.5
    tier.worstLossSeconds = 60
    tier.rpoState = .met
    return tier
  }()

  static let status = DaemonStatus(
    version: "1.2.3", pid: 42, startedAt: started, configurationPath: "/etc/backupd/backupd.yaml",
    configurationLoadedAt: started,
    clusters: [
      ClusterStatus(
        name: ClusterID(unchecked: "oauth"), systemIdentifier: backup.systemIdentifier,
        windows: [
          RecoveryWindow(
            from: started, to: started + .seconds(60), fromLSN: LSN(1 << 24), toLSN: LSN(3 << 24),
            timeline: TimelineID(1))
        ], stores: [StoreWindows(store: StoreID(unchecked: "local"), windows: [])], roads: [road], lastBackup: backup,
        wal: wal)
    ], tiers: [tier],
    stores: [
      StoreSummary(
        name: StoreID(unchecked: "cloud"), durability: "eventual", location: "s3://backups", missingObjects: 3,
        missingBytes: ByteCount(1 << 20), lagSeconds: 4, error: nil)
    ],
    copies: [
      CopySummary(
        store: StoreID(unchecked: "glacier"), cluster: ClusterID(unchecked: "oauth"), job: JobID(unchecked: "archive"),
        backup: backup.id, copied: started)
    ],
    jobs: [summary], running: [record(phase: "copy")],
    conditions: [
      Condition(
        id: "job:nightly", severity: .critical, since: started,
        report: ErrorReport(summary: "it broke", hint: "Mend it."), cluster: ClusterID(unchecked: "oauth"),
        tier: TierID(unchecked: "tokens"), job: job, store: StoreID(unchecked: "local"))
    ])

  func ping() async -> PingReply { PingReply(version: "1.2.3", pid: 42, startedAt: Self.started) }
  func status() async throws -> DaemonStatus { Self.status }
  func jobs() async throws -> [JobSummary] { [Self.summary] }
  func metrics() async throws -> String { "backupd_up 1\n" }
  func walStatus() async throws -> [WALStatus] { [Self.wal] }
  func acknowledgeGaps(of cluster: ClusterID?, caller: Caller) async throws -> [ClusterID] { [Self.wal.cluster] }
  static let alertTest: AlertTestResult = {
    var result = AlertTestResult(channel: AlertChannelID(unchecked: "mail"), kind: "smtp")
    result.answer = "250 2.0.0 queued"
    result.isDelivered = true
    return result
  }()
  func testAlerts(channel: AlertChannelID?, caller: Caller) async throws -> [AlertTestResult] {
    guard channel == nil || channel == Self.alertTest.channel else {
      throw ControlFailure.noSuchChannel(channel!, known: [Self.alertTest.channel])
    }
    note("test alerts for \(caller)")
    return [Self.alertTest]
  }
  func pushWAL(_ path: String, of cluster: ClusterID, caller: Caller) async throws {
    guard cluster == Self.wal.cluster else {
      throw ControlFailure(.noSuchCluster, ErrorReport(summary: "cannot archive WAL of cluster \"\(cluster)\""))
    }
  }

  func startJob(_ job: JobID, caller: Caller) async throws -> RunRecord {
    guard job == Self.job else { throw ControlFailure.noSuchJob(job, known: [Self.job]) }
    note("start \(job) for \(caller)")
    return Self.record()
  }

  func runJob(
    _ job: JobID, caller: Caller, update: @escaping @Sendable (RunRecord) async throws -> Void
  ) async throws -> RunRecord {
    guard job == Self.job else { throw ControlFailure.noSuchJob(job, known: [Self.job]) }
    note("run \(job) for \(caller)")
    for phase in ["start", "copy", "commit"] { try await update(Self.record(phase: phase)) }
    return Self.record(outcome: .succeeded)
  }

  func cancelRun(_ run: RunID, caller: Caller) async throws {
    guard run == Self.live else { throw ControlFailure.noSuchRun(run) }
    note("cancel for \(caller)")
  }

  func runs(job: JobID?, limit: Int) async throws -> [RunRecord] {
    note("runs \(job?.rawValue ?? "-") \(limit)")
    return [Self.record(outcome: .failed)]
  }

  /// Follows until the caller leaves.
  func followRuns(
    job: JobID?, limit: Int, update: @escaping @Sendable ([RunRecord]) async throws -> Void
  ) async throws {
    defer { note("followed") }
    try await update([Self.record(outcome: .failed)])
    try await update([Self.record(phase: "copy")])
    let (nothing, continuation) = AsyncStream.makeStream(of: Never.self)
    for await _ in nothing {}
    continuation.finish()
    throw CancellationError()
  }

  func reload(caller: Caller) async throws -> [String] {
    note("reload for \(caller)")
    throw ControlFailure.configurationInvalid(
      ErrorReport(summary: "cannot use the file", detail: "Line 3.", hint: "Mend line 3."))
  }
}

/// Keeps what is logged.
struct RecordingLog: LogHandler {
  final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }
  let lines: Lines
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .trace
  subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }
  func log(event: LogEvent) {
    let facts = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    lines.add(([event.level.rawValue, event.message.description] + facts).joined(separator: " "))
  }
}

/// Runs a control server for the length of `body`, which gets the socket's path.
func withControlServer<Result: Sendable>(
  _ daemon: FakeDaemon = FakeDaemon(), log: RecordingLog.Lines = RecordingLog.Lines(),
  _ configure: @escaping @Sendable (inout ControlServerOptions) -> Void = { _ in },
  _ body: @escaping @Sendable (String) async throws -> Result
) async throws -> Result {
  try await TemporaryDirectory.run { directory in
    var options = ControlServerOptions(path: directory + "/control.sock", version: "1.2.3")
    configure(&options)
    let logger = Logger(label: "test") { _ in RecordingLog(lines: log) }
    let server = ControlServer(options: options, handler: daemon, logger: logger)
    let (ready, continuation) = AsyncStream.makeStream(of: Void.self)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { continuation.finish() }
        try await server.run { continuation.finish() }
      }
      for await _ in ready {}
      let result = try await body(options.path)
      group.cancelAll()
      try await group.waitForAll()
      return result
    }
  }
}

/// Runs code that blocks, away from the pool the server's tasks need.
func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await Lane(label: "test").run { _ in try body() }
}
