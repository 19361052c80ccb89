public import BackupModel
public import BlockingWork
internal import DurableFiles
public import Repository
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a planned restore: files in parallel, made durable, `pg_control` last, then settings for recovery.
///
/// Blocks; call it on a lane. A restore that ends in the middle leaves a directory that cannot start; the same command
/// cleans it up and begins anew.
public final class Restorer: Sendable {
  private let repository: Repository
  private let options: RestoreOptions
  private let plan: RestorePlan
  private let thaw: ThawPlan?
  private let pages: RestoredPages?
  /// What was read from one store since another had it damaged.
  private let reads = ReadLog()

  /// - Parameter thaw: What of the backup is cold; nil where nothing is.
  public convenience init(repository: Repository, options: RestoreOptions, plan: RestorePlan, thaw: ThawPlan? = nil) {
    self.init(repository: repository, options: options, plan: plan, thaw: thaw, pages: nil)
  }

  /// - Parameter pages: Sees what is written of relations; nil where nobody looks.
  init(
    repository: Repository, options: RestoreOptions, plan: RestorePlan, thaw: ThawPlan? = nil, pages: RestoredPages?
  ) {
    self.thaw = thaw
    self.pages = pages
    self.repository = repository.noting(in: reads).seekingHidden()
    self.options = options
    self.plan = plan
  }

  /// Everything that can be known to fail before a byte is written: places, owner, free space.
  /// - Throws: ``RecoveryError`` and others.
  public func check() throws { try check(BackupReader(repository, plan.lineage, plan.backup)) }

  private func check(_ reader: BackupReader) throws {
    let destination = Destination(
      layout: try makeLayout(reader),
      ownership: try Ownership.resolve(owner: options.owner, destination: options.directory))
    let extent = try RestoreExtent(reader, destination.layout)
    try checkComplete(extent)
    if try destination.isInterrupted { return }
    try destination.check(configurationFiles: extent.configurationFiles)
    try extent.check()
  }

  /// - Parameter observe: Called from several threads with the bytes written so far.
  /// - Throws: ``RecoveryError``, `RepositoryError`, `FileError`, `CancellationError`.
  public func run(
    cancellation: Cancellation, observe: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) throws -> RestoreReport {
    let reader = try BackupReader(repository, plan.lineage, plan.backup)
    try check(reader)
    var clock = PhaseClock()
    let layout = try makeLayout(reader)
    let ownership = try Ownership.resolve(owner: options.owner, destination: options.directory)
    let destination = Destination(layout: layout, ownership: ownership)
    try destination.makeRoot(layout.directory)
    let marker = RestoreMarker.path(in: layout.directory)
    guard let lock = try LockFile.tryLock(marker) else { throw RecoveryError.destinationBusy(layout.directory) }
    // Read under the lock: a restore that ended just now took its marker along, and its files are nobody's to clean up.
    let interrupted = try RestoreMarker.read(in: layout.directory)
    if let interrupted { try destination.cleanUp(interrupted, repository: repository) }
    let extent = try RestoreExtent(reader, layout)
    do {
      try destination.check(configurationFiles: extent.configurationFiles)
      try extent.check()
    } catch {
      // Nothing of ours is there any more, so nothing says so either.
      unlink(marker)
      throw error
    }
    try RestoreMarker(plan: plan, layout: layout).write(in: layout.directory)
    try destination.makeRoots()
    clock.end("prepare")

    let places = layout.roots.map(\.path)
    let configuration = layout.configurationDirectory
    if let configuration, !DurableFile.exists(configuration) { try destination.makeRoot(configuration) }
    let sync = try FileSystemSync(places + (configuration.map { [$0] } ?? []))
    let copy = DirectoryCopy(
      repository: repository, plan: plan, layout: layout, ownership: ownership, workers: options.workers,
      share: options.share, totalBytes: extent.totalBytes, thaw: thaw.map { ThawWait($0, observe: observe) },
      pages: pages, observe: observe)
    let (lease, warning) = takeLease(cancellation)
    defer { lease?.release() }
    do {
      if let thaw {
        try request(thaw, cancellation, observe)
        clock.end("thaw")
      }
      try copy.run(cancellation)
    } catch let error as CancellationError {
      try lease?.check()
      throw error
    }
    clock.end("copy")
    let settings = RecoverySettings(plan: plan, options: options)
    try writeSettings(settings, ownership)
    observe(RunProgress(phase: "sync"))
    try sync.sync()
    try copy.writeControlFile(cancellation)
    // The marker goes when everything else is durable; from then on the directory is PostgreSQL's alone.
    try DurableFile.remove(marker)
    _ = consume lock
    clock.end("sync")
    return report(settings, extent, clock.phases, warning)
  }

  private func request(
    _ thaw: ThawPlan, _ cancellation: Cancellation, _ observe: @escaping @Sendable (RunProgress) -> Void
  ) throws {
    let total = ThawPlan.bytes(of: thaw.frozen)
    try thaw.request(cancellation) { bytes in
      observe(RunProgress(phase: "ask for thawing", doneBytes: ByteCount(bytes), totalBytes: total))
    }
  }

  /// Keeps a prune from removing what is being read. A host that may only read restores all the same: a backup that is
  /// not deleted does not go.
  private func takeLease(_ cancellation: Cancellation) -> (lease: Lease?, warning: String?) {
    // No prune takes away what is past.
    if options.fetch.asOf != nil { return (nil, nil) }
    do {
      return (try Lease(.restore, repository, plan.lineage, cancellation: cancellation), nil)
    } catch {
      return (nil, "No lease could be taken, so do not delete this backup meanwhile: \(ErrorReport(error).summary)")
    }
  }

  /// A backup that could not start once restored is refused before it is copied.
  private func checkComplete(_ extent: RestoreExtent) throws {
    guard extent.hasControlFile else {
      throw RecoveryError.backupNotRestorable(plan.backup, reason: "It has no \"global/pg_control\".")
    }
    guard extent.hasBackupLabel else {
      throw RecoveryError.backupNotRestorable(
        plan.backup, reason: "It has no \"backup_label\"; PostgreSQL would begin recovery in the wrong place.")
    }
  }

  private func makeLayout(_ reader: BackupReader) throws -> DirectoryLayout {
    let named: [(String?, String)] = [
      (options.directory, "data directory"), (options.walDirectory, "WAL directory"),
      (options.configurationDirectory, "configuration directory"),
    ]
    for (path, what) in named { if let path { try requireAbsolute(path, what) } }
    for path in options.tablespaces.values { try requireAbsolute(path, "tablespace location") }
    let known = reader.header.tablespaces.map(\.location)
    for location in options.tablespaces.keys where !known.contains(location) {
      throw RecoveryError.tablespaceUnknown(location, known: known)
    }
    var tablespaces: [String: String] = [:]
    // A relative location is one below `pg_tblspc` itself, which needs no place of its own.
    for tablespace in reader.header.tablespaces where tablespace.location.hasPrefix("/") {
      tablespaces["\(tablespace.oid)"] = Self.clean(options.tablespaces[tablespace.location] ?? tablespace.location)
    }
    var configurationFiles: [String] = []
    if options.configurationDirectory != nil {
      try reader.forEachFile { if $0.kind == .configuration { configurationFiles.append($0.path) } }
    }
    return DirectoryLayout(
      directory: Self.clean(options.directory), tablespaces: tablespaces,
      walDirectory: options.walDirectory.map(Self.clean),
      configurationDirectory: options.configurationDirectory.map(Self.clean),
      configurationPrefix: DirectoryLayout.commonDirectory(configurationFiles))
  }

  private func requireAbsolute(_ path: String, _ what: String) throws {
    guard path.hasPrefix("/") else { throw RecoveryError.notAbsolute(path, what: what) }
  }

  /// Without slashes at the end.
  private static func clean(_ path: String) -> String {
    var path = Substring(path)
    while path.count > 1, path.last == "/" { path = path.dropLast() }
    return String(path)
  }

  private func writeSettings(_ settings: RecoverySettings, _ ownership: Ownership) throws {
    let directory = Self.clean(options.directory)
    let file = directory + "/postgresql.auto.conf"
    var content = ""
    var mode: UInt32 = 0o600
    if DurableFile.exists(file) {
      content = String(decoding: try DurableFile.read(file), as: UTF8.self)
      var status = stat()
      if stat(file, &status) == 0 { mode = status.st_mode & 0o7777 }
    }
    // A standby's own: with it the restored server would wait for a primary for ever, never reach its target.
    try DurableFile.remove(directory + "/standby.signal")
    for (path, text) in [(file, settings.applied(to: content)), (directory + "/recovery.signal", "")] {
      try DurableFile.replace(path, with: Array(text.utf8), mode: mode)
      guard chmod(path, mode) == 0 else { throw FileError.last("set the mode of", path) }
      try ownership.give(path)
    }
  }

  private func report(
    _ settings: RecoverySettings, _ extent: RestoreExtent, _ phases: [RunPhase], _ warning: String?
  ) -> RestoreReport {
    RestoreReport(
      cluster: options.cluster, backup: plan.backup, directory: Self.clean(options.directory), target: plan.target,
      targetLSN: plan.targetLSN, timeline: plan.timeline, plannedEndLSN: plan.end.lsn, action: plan.action,
      files: extent.files, totalBytes: ByteCount(extent.totalBytes), phases: phases,
      settings: settings.values.map { .init(name: $0.name, value: $0.value) },
      warnings: plan.warnings + (warning.map { [$0] } ?? []) + reads.warnings,
      nextSteps: NextSteps(plan: plan, options: options, extent: extent).sentences)
  }
}

/// Measures phases that follow one another.
struct PhaseClock {
  private var last = ContinuousClock.now
  private(set) var phases: [RunPhase] = []

  mutating func end(_ name: String) {
    let now = ContinuousClock.now
    phases.append(RunPhase(name: name, durationSeconds: (now - last).secondsValue))
    last = now
  }
}

extension Restorer {
  /// Starts the restored server and waits for it; what came of it goes into the report.
  /// - Throws: As ``ServerStart/run(cancellation:observe:)``.
  public func start(
    _ startOptions: ServerStart.Options, into report: inout RestoreReport, cancellation: Cancellation,
    observe: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) throws {
    let start = ServerStart(
      directory: report.directory, configurationDirectory: options.configurationDirectory, action: plan.action,
      owner: options.owner, options: startOptions)
    let result = try start.run(cancellation: cancellation, observe: observe)
    report.server = result.outcome
    report.phases += result.phases
    report.warnings += result.warnings
    report.nextSteps = NextSteps(after: result.outcome, options: options).sentences
  }
}
