public import BackupModel
public import BlockingWork
internal import Postgres
public import Repository

/// Takes one physical backup: the server's stream, pages, frames, packs, stores; WAL proven; manifest last.
public struct BaseBackupPipeline: Sendable {
  public struct Options: Sendable {
    public var cluster: ClusterID
    /// libpq's, without what the program adds.
    public var connection: String
    public var job: JobID?
    public var run: RunID?
    public var workers: Int
    public var checkpoint: Checkpoint
    /// zstd's.
    public var compressionLevel: Int
    /// The server sends at most so much a second; nil: as much as it can.
    public var maximumRate: ByteCount?
    /// Where the fingerprints of the newest backup are kept; nil stores every page.
    public var fingerprintDirectory: String?
    /// Store every page anew.
    public var full: Bool
    public var source: Source
    /// The server's data directory on this host; nil where it is elsewhere.
    public var dataDirectory: String?
    /// Disks and processors serve everything else first.
    public var isIdle: Bool
    public init(
      cluster: ClusterID, connection: String, job: JobID?, run: RunID?, workers: Int,
      checkpoint: Checkpoint = .fast, compressionLevel: Int = 1, maximumRate: ByteCount? = nil,
      fingerprintDirectory: String? = nil, full: Bool = false, source: Source = .auto, dataDirectory: String? = nil,
      isIdle: Bool = false
    ) {
      self.cluster = cluster
      self.connection = connection
      self.job = job
      self.run = run
      self.workers = workers
      self.checkpoint = checkpoint
      self.compressionLevel = compressionLevel
      self.maximumRate = maximumRate
      self.fingerprintDirectory = fingerprintDirectory
      self.full = full
      self.source = source
      self.dataDirectory = dataDirectory
      self.isIdle = isIdle
    }
  }
  public enum Checkpoint: String, Sendable { case fast, spread }
  /// Where the files come from; `auto` reads them in place where that is possible.
  public enum Source: String, Sendable { case auto, stream, direct }

  public struct Result: Sendable {
    public var backup: Backup
    /// Stores that lack it, and why.
    public var failures: [StoreID: ErrorReport]
    public var phases: [RunPhase]
    public var warnings: [ErrorReport]
  }

  let options: Options
  let repository: Repository
  let wal: any WALProof
  let observe: @Sendable (RunProgress) -> Void
  let notice: @Sendable (ErrorReport) -> Void

  /// - Parameters:
  ///   - observe: Told of progress, several times a second at most, from the reader's thread.
  ///   - notice: Told what the server remarks beside its answers.
  public init(
    _ options: Options, repository: Repository, wal: any WALProof, observe: @escaping @Sendable (RunProgress) -> Void,
    notice: @escaping @Sendable (ErrorReport) -> Void = { _ in }
  ) {
    self.options = options
    self.repository = repository
    self.wal = wal
    self.observe = observe
    self.notice = notice
  }

  /// What connections do with the server's remarks.
  var observeNotice: @Sendable (ServerMessage) -> Void {
    { [notice] message in
      notice(
        ErrorReport(
          summary: "\(message.severity): \(message.message)", detail: message.detail, hint: message.hint))
    }
  }

  /// Runs to the end; blocks, so it runs on a lane.
  /// - Throws: What the server, a store or the WAL receiver said; `CancellationError`. There is no backup then.
  public func run(cancellation: Cancellation) throws -> Result {
    var clock = PhaseClock(observe: observe)
    clock.begin("preparing")
    let prepared = try prepare(cancellation)
    defer { prepared.lease.release() }
    do {
      return try run(prepared, cancellation, &clock)
    } catch let error as CancellationError {
      try prepared.lease.check()
      throw error
    }
  }

  private func run(
    _ prepared: Prepared, _ cancellation: Cancellation, _ clock: inout PhaseClock
  ) throws -> Result {
    defer { wal.end() }
    let held = try wal.begin(prepared.walFacts, cancellation: cancellation)
    clock.begin("checkpoint")
    var header = prepared.header
    switch prepared.access {
    case .stream:
      let stream = try openStream(header.id, cancellation)
      try refuseUnheld(held.lsn, start: stream.start.lsn)
      clock.begin("copying")
      let copying = clock
      return try write(prepared, &header, cancellation, &clock) { writer, header in
        try copy(stream, writer, prepared, &header, cancellation, copying)
      }
    case .direct(let root, let identity):
      let session = try openSession(header.id, cancellation)
      try refuseUnheld(held.lsn, start: session.start)
      clock.begin("copying")
      return try write(prepared, &header, cancellation, &clock) { writer, header in
        try copy(session, root, identity, writer, prepared, &header, cancellation)
      }
    }
  }

  /// WAL that was not received from before the start on cannot be proven.
  private func refuseUnheld(_ held: LSN, start: LSN) throws {
    guard held <= start else {
      throw PipelineError.walNotProven(options.cluster, start: start, stop: start, proven: nil, cause: nil)
    }
  }

  /// Copies into a writer and commits; takes back what was stored where that fails.
  private func write(
    _ prepared: Prepared, _ header: inout ManifestHeader, _ cancellation: Cancellation, _ clock: inout PhaseClock,
    copy: (BackupWriter, inout ManifestHeader) throws -> Void
  ) throws -> Result {
    let writer = try BackupWriter(
      repository: repository, lineage: prepared.lineage,
      options: .init(level: options.compressionLevel, parent: prepared.parent, caches: prepared.caches),
      cancellation: cancellation)
    do {
      try copy(writer, &header)
      return try finish(writer, prepared, header, cancellation, &clock)
    } catch {
      writer.discard()
      throw error
    }
  }

  private func finish(
    _ writer: BackupWriter, _ prepared: Prepared, _ header: ManifestHeader, _ cancellation: Cancellation,
    _ clock: inout PhaseClock
  ) throws -> Result {
    var header = header
    clock.begin("checking")
    try refuseMovedDatabase(prepared, cancellation)
    if let path = writer.sortFiles() { throw PipelineError.pathTwice(path, options.cluster) }
    try checkFiles(writer)
    clock.begin("proving WAL")
    let stop = WALPosition(timeline: header.timeline, lsn: header.stopLSN)
    let proven = try wal.waitUntilStored(from: header.startLSN, through: stop, cancellation: cancellation)
    guard proven.end >= header.stopLSN else {
      throw PipelineError.walNotProven(
        options.cluster, start: header.startLSN, stop: header.stopLSN, proven: proven.end, cause: nil)
    }
    try prepared.lease.check()
    clock.begin("committing")
    header.finished = .now()
    let committed = try writer.commit(header, without: proven.failures, cancellation: cancellation)
    let warnings = prepared.warnings + header.warnings.map { ErrorReport(summary: $0) } + committed.warnings
    return Result(
      backup: committed.backup, failures: committed.failures, phases: clock.finish(), warnings: warnings)
  }

  private func refuseMovedDatabase(_ prepared: Prepared, _ cancellation: Cancellation) throws {
    let connection = try Connection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation, observeNotice: observeNotice)
    defer { connection.close() }
    if let name = prepared.databases.moved(by: try DatabasePlaces.read(connection)) {
      throw PipelineError.databaseMoved(name, options.cluster)
    }
  }

  /// The stream must hold what no restore can do without, and arrive as the server's own manifest says.
  private func checkFiles(_ writer: BackupWriter) throws {
    for path in ["backup_label", "global/pg_control", "backup_manifest", "PG_VERSION"]
    where writer.file(path) == nil {
      throw PipelineError.fileMissing(path, options.cluster)
    }
  }
}
