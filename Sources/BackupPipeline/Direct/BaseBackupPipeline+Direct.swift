internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository
import Synchronization

/// Files read in place, between `pg_backup_start` and `pg_backup_stop`.
extension BaseBackupPipeline {
  /// How the files are reached.
  enum Access {
    case stream
    case direct(root: String, ServerFacts.Identity)
  }

  /// - Throws: ``PipelineError/directImpossible(_:reason:)`` where nothing else is allowed.
  func chooseAccess(_ connection: Connection, _ facts: ServerFacts) throws -> Access {
    if options.source == .stream || (options.source == .auto && options.dataDirectory == nil) { return .stream }
    let identity = try ServerFacts.identity(from: connection)
    guard let obstacle = DirectAccess.obstacle(options.dataDirectory, facts, identity) else {
      return .direct(root: options.dataDirectory ?? "", identity)
    }
    if options.source == .direct { throw PipelineError.directImpossible(options.cluster, reason: obstacle) }
    notice(ErrorReport(summary: "the files come over the replication protocol", detail: obstacle))
    return .stream
  }

  func openSession(_ id: BackupID, _ cancellation: Cancellation) throws -> BackupSession {
    let connection = try Connection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation, observeNotice: observeNotice)
    return try BackupSession(connection, label: "backupd \(id)", fast: options.checkpoint == .fast)
  }

  /// Reads the data directory with several threads until all pages are in the stores.
  func copy(
    _ session: BackupSession, _ root: String, _ identity: ServerFacts.Identity, _ writer: BackupWriter,
    _ prepared: Prepared, _ header: inout ManifestHeader, _ cancellation: Cancellation
  ) throws {
    let inspector = prepared.facts.dataChecksums ? PageInspector(start: session.start) : nil
    let observe = self.observe
    let total = Mutex<Int64>(0)
    let work = DirectWork(
      writer: writer, cancellation: cancellation, inspector: inspector,
      pacer: options.maximumRate.map { Pacer($0) }
    ) { done in
      let all = max(total.withLock { $0 }, done)
      observe(RunProgress(phase: "copying", doneBytes: ByteCount(done), totalBytes: ByteCount(all)))
    }
    let crew = DirectCrew(
      work: work, workers: options.workers, share: options.isIdle ? .leftOver : .equal, root: root, identity: identity,
      facts: prepared.facts,
      configuration: prepared.configuration)
    let expected = try crew.totalBytes()
    total.withLock { $0 = expected }
    if prepared.caches != nil { writer.leaveCheckpoints(header, expected: expected) }
    let outcome = try crew.run(session)
    guard outcome.stop.position.timeline == outcome.stop.timeline else {
      throw PipelineError.timelineChanged(
        options.cluster, from: outcome.stop.timeline, to: outcome.stop.position.timeline)
    }
    header.source = "direct"
    header.timeline = outcome.stop.timeline
    header.startLSN = outcome.stop.start
    header.stopLSN = outcome.stop.position.lsn
    header.tablespaces = outcome.tablespaces
    header.warnings += outcome.warnings
    if let inspector {
      let (damaged, unlisted) = inspector.found
      let pages = damaged.map { DamagedPage(path: $0.path, block: $0.block) }
      note(pages.sorted { ($0.path, $0.block) < ($1.path, $1.block) }, unlisted: unlisted, in: &header)
    }
  }
}
