public import BackupModel
public import BlockingWork
internal import Postgres
public import Repository
internal import ServerPrograms

/// Takes one logical backup: a snapshot is held, pg_dump writes into a pipe, its bytes are cut into pieces, new pieces go
/// to the stores; manifest last.
public struct DumpPipeline: Sendable {
  public struct Options: Sendable {
    public var cluster: ClusterID
    /// libpq's, the password with it.
    public var connection: Secret
    public var job: JobID?
    public var run: RunID?
    public var dump: DumpOptions
    /// Threads that compress and seal.
    public var workers: Int
    /// zstd's.
    public var compressionLevel: Int
    /// Where the server's programs are; nil looks in the usual places.
    public var programs: String?
    /// Where the pieces of the job's newest backup are remembered; nil stores everything.
    public var pieceDirectory: String?
    /// Store everything anew.
    public var full: Bool

    public init(
      cluster: ClusterID, connection: Secret, job: JobID?, run: RunID?, dump: DumpOptions, workers: Int,
      compressionLevel: Int = 1, programs: String? = nil, pieceDirectory: String? = nil, full: Bool = false
    ) {
      self.cluster = cluster
      self.connection = connection
      self.job = job
      self.run = run
      self.dump = dump
      self.workers = workers
      self.compressionLevel = compressionLevel
      self.programs = programs
      self.pieceDirectory = pieceDirectory
      self.full = full
    }
  }

  public struct Result: Sendable {
    public var backup: Backup
    /// Stores that lack it, and why.
    public var failures: [StoreID: ErrorReport]
    public var phases: [RunPhase]
    public var warnings: [ErrorReport]
  }

  let options: Options
  let repository: Repository
  let observe: @Sendable (RunProgress) -> Void

  /// - Parameter observe: Told of progress from the reading thread.
  public init(_ options: Options, repository: Repository, observe: @escaping @Sendable (RunProgress) -> Void) {
    self.options = options
    self.repository = repository
    self.observe = observe
  }

  /// What is known before the first byte.
  struct Prepared {
    var connection: ProgramConnection
    var session: Connection
    var snapshot: ExportedSnapshot
    var facts: ServerFacts
    var lineage: Lineage
    var lease: Lease
    var database: String
    var program: String
    var shares: DumpShares
    /// Why there are fewer streams than were asked for.
    var notes: [String]
    /// pg_dumpall and its options; nil where no globals are wanted.
    var globals: (path: String, arguments: [String])?
  }

  /// Runs to the end; blocks, so it runs on a lane.
  /// - Throws: What the server, pg_dump or a store said; `CancellationError`. There is no backup then.
  public func run(cancellation: Cancellation) throws -> Result {
    var clock = PhaseClock(observe: observe)
    clock.begin("preparing")
    let prepared = try prepare(cancellation)
    defer {
      prepared.session.close()
      prepared.lease.release()
    }
    do {
      return try run(prepared, cancellation, &clock)
    } catch let error as CancellationError {
      try prepared.lease.check()
      throw error
    }
  }

  private func prepare(_ cancellation: Cancellation) throws -> Prepared {
    let connection: ProgramConnection
    do {
      connection = try ProgramConnection(
        options.connection, database: options.dump.database, applicationName: "backupd dump")
    } catch PostgresError.connectionStringInvalid where options.connection.revealText().contains("sslpassword") {
      throw DumpError.unsupportedPassword(options.cluster)
    }
    let session = try Connection(
      connection.complete.revealText(), applicationName: "backupd dump snapshot", cancellation: cancellation)
    do {
      let facts = try ServerFacts.read(from: session)
      let lineage = Lineage(cluster: options.cluster, systemIdentifier: facts.systemIdentifier)
      // A foreign cluster behind a known name would mix two histories.
      try repository.requireCurrent(lineage)
      let program = try ServerProgram.find("pg_dump", version: facts.majorVersion, in: options.programs)
      let (snapshot, shares, notes) = try snapshot(session, program, connection, cancellation)
      return Prepared(
        connection: connection, session: session, snapshot: snapshot, facts: facts, lineage: lineage,
        lease: try Lease(.backup, repository, lineage, cancellation: cancellation), database: try snapshot.database(),
        program: program, shares: shares, notes: notes, globals: try globals(connection, facts, snapshot))
    } catch {
      session.close()
      throw error
    }
  }

  private func globals(
    _ connection: ProgramConnection, _ facts: ServerFacts, _ snapshot: ExportedSnapshot
  ) throws -> (path: String, arguments: [String])? {
    guard options.dump.wantsGlobals else { return nil }
    var arguments = ["--globals-only", "--no-password", "--dbname=\(connection.words)"]
    if try !snapshot.mayReadPasswords() { arguments.append("--no-role-passwords") }
    return (try ServerProgram.find("pg_dumpall", version: facts.majorVersion, in: options.programs), arguments)
  }

  private func run(_ prepared: Prepared, _ cancellation: Cancellation, _ clock: inout PhaseClock) throws -> Result {
    var parent: ParentPieces?
    var caches: PieceCaches?
    var notes: [ErrorReport] = []
    if let directory = options.pieceDirectory {
      let found = try PieceCaches(repository, prepared.lineage, job: options.job, directory: directory)
      caches = found
      if !options.full { (parent, notes) = try found.parent() }
    }
    let writer = try DumpWriter(
      repository: repository, lineage: prepared.lineage,
      options: .init(
        level: options.compressionLevel, workers: options.workers, cutters: prepared.shares.others.count + 1),
      parent: parent, caches: caches,
      cancellation: cancellation)
    do {
      clock.begin("dumping")
      let dumping = try dump(prepared, into: writer, cancellation)
      try prepared.lease.check()
      clock.begin("committing")
      let header = try header(prepared, warnings: notes.map(\.description) + prepared.notes + dumping)
      let committed = try writer.commit(header, cancellation: cancellation)
      return Result(
        backup: committed.backup, failures: committed.failures, phases: clock.finish(),
        warnings: header.warnings.map { ErrorReport(summary: $0) } + committed.warnings)
    } catch {
      writer.discard()
      throw error
    }
  }

  /// Its place in the lineage is taken now and not at the start: what began later may have ended before.
  private func header(_ prepared: Prepared, warnings: [String]) throws -> ManifestHeader {
    let newest = try BackupCatalog(repository).newest(prepared.lineage)
    let now = Timestamp.now()
    // Never by the clock alone: ids rise with sequence numbers, also after the clock was set back.
    let id = BackupID(started: Timestamp(seconds: max(now.seconds, (newest?.id.started.seconds ?? 0) + 1)))
    var header = ManifestHeader(
      id: id, cluster: options.cluster, systemIdentifier: prepared.lineage.systemIdentifier, kind: .logical,
      job: options.job, run: options.run, sequence: (newest?.sequence ?? 0) + 1, started: prepared.snapshot.taken)
    header.finished = max(now, prepared.snapshot.taken)
    header.timeline = prepared.facts.timeline
    header.startLSN = prepared.snapshot.lsn
    header.stopLSN = prepared.snapshot.lsn
    header.serverVersion = prepared.facts.versionNumber
    header.walSegmentBytes = prepared.facts.walSegmentSize.bytes
    header.dataChecksums = prepared.facts.dataChecksums
    header.source = "pg_dump"
    header.warnings = warnings
    header.dump = .init(
      database: prepared.database, program: try ServerProgram.words(of: prepared.program),
      selection: options.dump.selection, snapshot: prepared.snapshot.taken, globals: prepared.globals != nil)
    return header
  }
}
