public import BackupModel
public import BlockingWork
internal import DatabaseChecks
internal import LogicalBackup
internal import Postgres
public import Repository

/// A look at a cluster: its server answers, its newest dump comes back in a scratch database, and what came back passes
/// the operator's checks. No database that was there before is written to.
///
/// Blocks; call it on a lane.
public struct HealthCheck: Sendable {
  private let repository: Repository
  private let options: HealthOptions
  private let observe: @Sendable (RunProgress) -> Void
  private let found: @Sendable (HealthReport) -> Void

  /// - Parameter found: Called with everything so far each time there is more: a check that fails has found something too.
  public init(
    repository: Repository, options: HealthOptions, observe: @escaping @Sendable (RunProgress) -> Void,
    found: @escaping @Sendable (HealthReport) -> Void
  ) {
    self.repository = repository
    self.options = options
    self.observe = observe
    self.found = found
  }

  /// - Throws: ``HealthError`` and what connecting, reading the dump and `pg_restore` throw; `CancellationError`.
  public func run(cancellation: Cancellation) throws {
    let walk = HealthWalk(
      repository: repository, options: options, cancellation: cancellation, observe: observe, found: found)
    try walk.run()
  }

  /// Drops what runs left that a crash cut off.
  /// - Returns: The names of the databases dropped.
  public static func sweep(_ options: HealthOptions, cancellation: Cancellation) throws -> [String] {
    try ScratchDatabase.sweep(
      options.scratchServer ?? options.connection, notedIn: options.notes, cancellation)
  }
}

extension HealthOptions {
  var notes: String { "\(registry)/\(job)" }
  var server: Secret { scratchServer ?? connection }
}

/// One check on its way; used by one thread.
private final class HealthWalk {
  private let repository: Repository
  private let options: HealthOptions
  private let cancellation: Cancellation
  private let observe: @Sendable (RunProgress) -> Void
  private let found: @Sendable (HealthReport) -> Void
  private var report = HealthReport() { didSet { found(report) } }
  private var clock: PhaseClock

  init(
    repository: Repository, options: HealthOptions, cancellation: Cancellation,
    observe: @escaping @Sendable (RunProgress) -> Void, found: @escaping @Sendable (HealthReport) -> Void
  ) {
    self.repository = repository
    self.options = options
    self.cancellation = cancellation
    self.observe = observe
    self.found = found
    clock = PhaseClock(observe: observe)
  }

  func run() throws {
    defer { report.phases = clock.finish() }
    clock.begin("server")
    try askServer()
    let file = try options.checks.map { try CheckFile(readingFrom: $0) }
    if options.restores {
      try restoreAndLook(file)
    } else if let file {
      clock.begin("checks")
      report.checks += try file.run(
        on: options.connection.revealText(), timeout: options.checkTimeout, cancellation: cancellation)
    }
    let failed = report.checks.filter { $0.verdict == .critical }
    if !failed.isEmpty { throw HealthError.checksFailed(failed) }
  }

  private func askServer() throws {
    let answer = try ServerPing.ask(options.connection.revealText())
    guard answer == .accepting else { throw HealthError.notAccepting(options.cluster, answer.sentence) }
    // To accept is not yet to let in.
    let session = try connect(options.connection)
    session.close()
    report.checks.append(CheckResult(name: "server", value: "accepting connections"))
  }

  private func connect(_ connection: Secret) throws -> Connection {
    try Connection(connection.revealText(), applicationName: "backupd check", cancellation: cancellation)
  }

  private func restoreAndLook(_ file: CheckFile?) throws {
    for name in try HealthCheck.sweep(options, cancellation: cancellation) {
      report.warnings.append("Scratch database \"\(name)\", left by a run that was cut off, is dropped.")
    }
    let reader = try repository.readingWhatIsListed { try newestDump() }
    report.backup = reader.header.id
    report.totalBytes = reader.header.totalBytes
    clock.begin("create")
    let locale = try checkLimits(reader.header)
    let scratch = try ScratchDatabase(
      options.server, locale: locale, notedIn: options.notes, cancellation: cancellation)
    do {
      try load(reader, scratch)
      clock.begin("checks")
      try look(file, scratch, reader.header)
    } catch {
      do { try scratch.drop() } catch let left {
        report.warnings.append("\(ErrorReport(left))")
      }
      throw error
    }
    clock.begin("drop")
    try scratch.drop()
  }

  /// - Returns: How the dump's database keeps text, where its server still has it.
  private func checkLimits(_ header: ManifestHeader) throws -> ScratchDatabase.Locale? {
    if let limit = options.sizeLimit, header.totalBytes > limit {
      throw HealthError.dumpTooLarge(header.id, size: header.totalBytes, limit: limit)
    }
    let server = try connect(options.server)
    defer { server.close() }
    try ServerRoom(server).require(for: header)
    guard let database = header.dump?.database else { return nil }
    let original = try connect(options.connection)
    defer { original.close() }
    return try ScratchDatabase.Locale(of: database, original)
  }

  private func load(_ reader: BackupReader, _ scratch: ScratchDatabase) throws {
    clock.begin("load")
    var loading = DumpLoading.Options(connection: options.server, database: scratch.name, spoolDirectory: "/tmp")
    loading.programs = options.programs
    // Roles of another server are not asked for, and a subscription would keep the database from being dropped.
    loading.isForScratch = true
    let words = try DumpLoading(reader, cancellation: cancellation).load(loading, observe: observe)
    report.warnings += words
  }

  private func look(_ file: CheckFile?, _ scratch: ScratchDatabase, _ header: ManifestHeader) throws {
    let connection = try scratch.connection()
    let copy = try connect(connection)
    defer { copy.close() }
    let original = try connect(
      try ProgramConnection(options.connection, database: header.dump?.database, applicationName: "backupd check")
        .complete)
    defer { original.close() }
    report.checks += try TableComparison(
      restored: copy, original: original, isPartial: header.dump?.selection.isEmpty == false
    ).results
    guard let file else { return }
    report.checks += try file.run(
      on: connection.revealText(), timeout: options.checkTimeout, cancellation: cancellation)
  }

  /// The newest dump that can be restored alone.
  private func newestDump() throws -> BackupReader {
    let catalog = BackupCatalog(repository)
    let (backups, damaged) = try catalog.list(options.cluster)
    let dumps = backups.filter {
      $0.kind == .logical && $0.deleted == nil && (options.dumpJob == nil || $0.job == options.dumpJob)
    }
    for backup in dumps.reversed() {
      let reader = try catalog.open(backup.id, of: options.cluster)
      // Ids rise: what cannot be read may be the newer one.
      if let hidden = damaged.first(where: { $0.backup > backup.id }) {
        throw HealthError.dumpUnreadable(hidden.backup, hidden.report)
      }
      if reader.header.dump?.selection.contains(where: { ["--data-only", "--schema-only"].contains($0) }) == false {
        return reader
      }
    }
    if let first = damaged.first { throw HealthError.dumpUnreadable(first.backup, first.report) }
    throw HealthError.noDump(options.cluster, job: options.dumpJob)
  }
}
