public import BackupModel
public import BlockingWork
internal import DatabaseChecks
internal import Postgres
public import Repository
internal import ServerPrograms

#if canImport(Glibc)
  import Glibc
#endif

/// A restore done as proof: a backup is restored to scratch space, PostgreSQL replays WAL on it to a target, and what
/// came of it is looked at. Nothing of it is left, and the original server is never spoken to.
///
/// Blocks; call it on a lane.
public final class Drill: Sendable {
  private let repository: Repository
  private let options: DrillOptions
  private let observe: @Sendable (RunProgress) -> Void
  private let found: @Sendable (DrillReport) -> Void

  /// - Parameters:
  ///   - observe: Called from several threads.
  ///   - found: Called with everything so far each time there is more: a drill that fails has found something as well.
  public init(
    repository: Repository, options: DrillOptions, observe: @escaping @Sendable (RunProgress) -> Void,
    found: @escaping @Sendable (DrillReport) -> Void
  ) {
    self.repository = repository
    self.options = options
    self.observe = observe
    self.found = found
  }

  /// - Throws: ``DrillError``, ``RecoveryError`` and whatever else a restore throws; `CancellationError`.
  public func run(cancellation: Cancellation) throws {
    // The host's other work comes first. The server inherits what this thread may have.
    try runTogether(cancellation, label: "drill", share: .leftOver, [{ try self.runAlone(cancellation) }])
  }

  private func runAlone(_ cancellation: Cancellation) throws {
    let scratch = try ScratchDirectory.take(options, cancellation)
    let walk = DrillWalk(repository: repository, options: options, observe: observe, found: found)
    do {
      try walk.run(scratch, cancellation)
    } catch {
      observe(RunProgress(phase: "clean up"))
      do { try scratch.remove() } catch let cleanup {
        let report = ErrorReport(cleanup)
        walk.warn("The scratch directory was not removed: \(report.summary). \(report.detail ?? "")")
      }
      walk.server?.reap()
      throw error
    }
    observe(RunProgress(phase: "clean up"))
    try scratch.remove()
    walk.server?.reap()
  }
}

/// One drill on its way; used by one thread.
private final class DrillWalk {
  private let repository: Repository
  private let options: DrillOptions
  private let observe: @Sendable (RunProgress) -> Void
  private let found: @Sendable (DrillReport) -> Void
  private var report = DrillReport() { didSet { found(report) } }
  private(set) var server: ScratchServer?
  private var clock = PhaseClock()
  /// Nil where the cluster has no page checksums.
  private var pages: RestoredPages?
  /// Whether anything was there to be looked at.
  private var hasSeen = false

  init(
    repository: Repository, options: DrillOptions, observe: @escaping @Sendable (RunProgress) -> Void,
    found: @escaping @Sendable (DrillReport) -> Void
  ) {
    self.repository = repository
    self.options = options
    self.observe = observe
    self.found = found
  }

  func warn(_ text: String) { report.warnings.append(text) }

  func run(_ scratch: borrowing ScratchDirectory, _ cancellation: Cancellation) throws {
    observe(RunProgress(phase: "plan"))
    let plan = try DrillPlanner(repository, options).plan(scratch, cancellation, warn)
    report.backup = plan.restore.backup
    report.record = DrillRecord(
      store: options.store, target: plan.restore.target.text, targetLSN: plan.restore.targetLSN)
    let version = plan.restore.header.serverVersion / 10000
    let program = try ServerProgram.find("postgres", version: version, in: options.binDirectory)
    // What would only be found missing after hours of copying is looked for first.
    if options.runsAmcheck { _ = try ServerProgram.find("pg_amcheck", version: version, in: options.binDirectory) }
    let file = try options.checks.map { try CheckFile(readingFrom: $0) }
    let settings = try restore(plan, cancellation)
    let server = try ScratchServer(
      scratch, program: program, version: version, options: options, backup: plan.restore.backup, recovery: settings)
    self.server = server
    let checks = try boot(server, plan, scratch, version, cancellation)
    // What is measured was done as a restore does it; from here on nothing has to outlive a power loss.
    try server.stopSyncing(scratch)
    observe(RunProgress(phase: "checks"))
    try look(checks, file, scratch, server, version, cancellation)
    end("checks")
    try judge()
  }

  private func end(_ phase: String) {
    clock.end(phase)
    report.phases = clock.phases
  }

  /// - Returns: What the server is told for its recovery.
  private func restore(_ plan: DrillPlanner.Plan, _ cancellation: Cancellation) throws -> [RestoreReport.Setting] {
    if plan.restore.header.dataChecksums { pages = RestoredPages() }
    clock = PhaseClock()
    let restored = try Restorer(
      repository: plan.repository, options: plan.options, plan: plan.restore, pages: pages
    ).run(cancellation: cancellation, observe: observe)
    report.totalBytes = restored.totalBytes
    report.warnings += restored.warnings
    end("fetch")
    observe(RunProgress(phase: "replay"))
    return restored.settings
  }

  /// Returns when the server has replayed what it had to and answers queries; the measured time ends here.
  private func boot(
    _ server: ScratchServer, _ plan: DrillPlanner.Plan, _ scratch: borrowing ScratchDirectory, _ version: Int,
    _ cancellation: Cancellation
  ) throws -> DrillChecks {
    if !server.isConfined {
      warn("The kernel has no Landlock: nothing but its rights keeps the scratch server from writing elsewhere.")
    }
    try server.waitUntilReplayed(cancellation)
    end("replay")
    observe(RunProgress(phase: "start"))
    try server.waitUntilOpen(cancellation)
    let login = try ScratchLogin(
      LoginNames(options.connection.revealText()), socketDirectory: scratch.socketDirectory, version: version,
      systemUser: Ownership.name(of: geteuid()), cancellation)
    let checks = DrillChecks(options: options, plan: plan, login: login, cancellation: cancellation)
    let replayed = try checks.replayedLSN()
    end("start")
    let measured = clock.phases.reduce(0) { $0 + $1.durationSeconds }
    report.record?.replayedLSN = replayed
    report.record?.walBytes = replayed.map { ByteCount($0 - plan.restore.header.startLSN) }
    report.record?.measuredRTOSeconds = measured
    return checks
  }

  private func look(
    _ checks: DrillChecks, _ file: CheckFile?, _ scratch: borrowing ScratchDirectory, _ server: ScratchServer,
    _ version: Int, _ cancellation: Cancellation
  ) throws {
    if let interval = options.heartbeatInterval {
      let (result, written) = try checks.heartbeat(interval)
      report.record?.heartbeat = written
      report.checks.append(result)
      hasSeen = true
    }
    if let file {
      let results = try checks.operators(file)
      report.checks += results
      hasSeen = hasSeen || !results.isEmpty
    }
    if options.runsAmcheck {
      let (result, ran) = try checks.amcheck(
        version: version, log: scratch.path + "/amcheck.log", directory: scratch.dataDirectory)
      report.checks.append(result)
      hasSeen = hasSeen || ran
    }
    guard let pages else {
      let message = "The cluster was made without them."
      return report.checks.append(CheckResult(name: "page checksums", value: "off", message: message))
    }
    // A page of a server that runs may be half written; all of one that has ended are whole.
    if pages.hasSuspects { try server.stop(cancellation) }
    report.checks.append(try pages.judge())
  }

  private func judge() throws {
    let failed = report.checks.filter { $0.verdict == .critical }
    if !failed.isEmpty { throw DrillError.checksFailed(failed) }
    if !hasSeen { throw DrillError.nothingSeen }
  }
}
