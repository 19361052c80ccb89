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
    public init(
      cluster: ClusterID, connection: String, job: JobID?, run: RunID?, workers: Int,
      checkpoint: Checkpoint = .fast, compressionLevel: Int = 1, maximumRate: ByteCount? = nil,
      fingerprintDirectory: String? = nil, full: Bool = false
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
    }
  }
  public enum Checkpoint: String, Sendable { case fast, spread }

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
    defer { wal.end() }
    let held = try wal.begin(prepared.walFacts, cancellation: cancellation)
    clock.begin("checkpoint")
    let connection = try ReplicationConnection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation,
      observeNotice: observeNotice)
    defer { connection.close() }
    let stream = try connection.baseBackup(
      .init(
        label: "backupd \(prepared.header.id)", checkpoint: options.checkpoint == .fast ? .fast : .spread,
        maximumRate: options.maximumRate))
    guard held.lsn <= stream.start.lsn else {
      throw PipelineError.walNotProven(
        options.cluster, start: stream.start.lsn, stop: stream.start.lsn, proven: nil, cause: nil)
    }
    clock.begin("copying")
    let writer = try BackupWriter(
      repository: repository, lineage: prepared.lineage,
      options: .init(level: options.compressionLevel, parent: prepared.parent, caches: prepared.caches),
      cancellation: cancellation)
    do {
      var header = prepared.header
      try copy(stream, writer, prepared, &header, cancellation, clock)
      return try finish(writer, prepared, header, cancellation, &clock)
    } catch {
      writer.discard()
      throw error
    }
  }

  /// Reads the stream on one thread, stores frames on others, until all pages are in the stores.
  private func copy(
    _ stream: BaseBackupStream, _ writer: BackupWriter, _ prepared: Prepared, _ header: inout ManifestHeader,
    _ cancellation: Cancellation, _ clock: PhaseClock
  ) throws {
    let crew = BackupCrew(writer: writer, workers: options.workers, cancellation: cancellation)
    let inspector = prepared.facts.dataChecksums ? PageInspector(start: stream.start.lsn) : nil
    let total = stream.tablespaces.reduce(Int64(0)) { $0 + ($1.size?.value ?? 0) }
    if prepared.caches != nil { writer.leaveCheckpoints(header, expected: total) }
    let cluster = options.cluster
    let configuration = prepared.configuration
    let observe = self.observe
    let stop = try crew.run(inspector) { given in
      var filler = given
      try configuration.store(into: &filler)
      var reader = StreamReader(cluster, writer, filler) { done in
        observe(
          RunProgress(phase: "copying", doneBytes: ByteCount(done), totalBytes: ByteCount(max(total, done))))
      }
      return try reader.read(stream, cancellation: cancellation)
    }
    header.timeline = stream.start.timeline
    header.startLSN = stream.start.lsn
    header.stopLSN = stop.lsn
    header.tablespaces = stream.tablespaces.compactMap { space in
      guard let oid = space.oid, let location = space.location else { return nil }
      return .init(oid: oid, location: location)
    }
    guard stop.timeline == stream.start.timeline else {
      throw PipelineError.timelineChanged(options.cluster, from: stream.start.timeline, to: stop.timeline)
    }
    if let inspector { try inspect(inspector, &header, cancellation) }
  }

  /// Suspect pages are read again through SQL; what still does not fit is recorded and warned of.
  private func inspect(
    _ inspector: PageInspector, _ header: inout ManifestHeader, _ cancellation: Cancellation
  ) throws {
    let (suspects, unlisted) = inspector.found
    if suspects.isEmpty { return }
    let connection = try Connection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation,
      observeNotice: observeNotice)
    defer { connection.close() }
    header.damagedPages = try inspector.confirm(with: connection)
    if header.damagedPages.isEmpty && unlisted == 0 { return }
    let first = header.damagedPages.prefix(5).map { "\"\($0.path)\" block \($0.block)" }.joined(separator: ", ")
    let count = header.damagedPages.count + unlisted
    header.warnings.append(
      "\(count) page\(count == 1 ? " has a wrong checksum" : "s have wrong checksums") on the server: \(first)"
        + (count > 5 ? ", …" : ""))
  }

  private func finish(
    _ writer: BackupWriter, _ prepared: Prepared, _ header: ManifestHeader, _ cancellation: Cancellation,
    _ clock: inout PhaseClock
  ) throws -> Result {
    var header = header
    clock.begin("checking")
    if let path = writer.sortFiles() { throw PipelineError.pathTwice(path, options.cluster) }
    try checkFiles(writer)
    clock.begin("proving WAL")
    let stop = WALPosition(timeline: header.timeline, lsn: header.stopLSN)
    let proven = try wal.waitUntilStored(from: header.startLSN, through: stop, cancellation: cancellation)
    guard proven >= header.stopLSN else {
      throw PipelineError.walNotProven(
        options.cluster, start: header.startLSN, stop: header.stopLSN, proven: proven, cause: nil)
    }
    clock.begin("committing")
    header.finished = .now()
    let committed = try writer.commit(header, cancellation: cancellation)
    let warnings = prepared.warnings + header.warnings.map { ErrorReport(summary: $0) } + committed.warnings
    return Result(
      backup: committed.backup, failures: committed.failures, phases: clock.finish(), warnings: warnings)
  }

  /// The stream must hold what no restore can do without, and arrive as the server's own manifest says.
  private func checkFiles(_ writer: BackupWriter) throws {
    for path in ["backup_label", "global/pg_control", "backup_manifest", "PG_VERSION"]
    where writer.file(path) == nil {
      throw PipelineError.fileMissing(path, options.cluster)
    }
  }
}
