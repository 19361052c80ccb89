public import BackupModel
public import BlockingWork
internal import DurableFiles
public import Postgres
public import Repository
internal import ServerPrograms

#if canImport(Glibc)
  import Glibc
#endif

/// Hands a dump to `pg_restore`: to load it into a database, or to list what is in it. Blocks.
public struct DumpLoading {
  public struct Options: Sendable {
    /// libpq's, of the server that the database is on, the password with it.
    public var connection: Secret
    /// It must exist.
    public var database: String
    /// Only these tables; none is everything.
    public var tables: [String]
    /// Objects of the dump are dropped from the database first.
    public var isClean: Bool
    /// Connections that load at the same time; 1 loads a dump of one stream in one transaction.
    public var jobs: Int
    /// Where the dump is put meanwhile, where several connections load.
    public var spoolDirectory: String
    public var programs: String?
    /// For a database that is looked at and dropped: no owners, rights and subscriptions, which need others to be there.
    public var isForScratch = false
    public init(connection: Secret, database: String, spoolDirectory: String) {
      self.connection = connection
      self.database = database
      self.spoolDirectory = spoolDirectory
      tables = []
      isClean = false
      jobs = 1
    }
  }

  private struct NoMoreWanted: Error {}

  let backup: BackupReader
  let cancellation: Cancellation
  /// ``DumpStream/custom`` first, then those of rows in their order.
  let streams: [String]
  let reader: DumpReader

  /// - Throws: ``RepositoryError/notLogical(_:)``.
  public init(_ reader: BackupReader, cancellation: Cancellation) throws {
    backup = reader
    let reader = try DumpReader(reader)
    self.reader = reader
    self.cancellation = cancellation
    streams = try DumpStream.archives(of: reader)
  }

  private var version: Int { reader.header.serverVersion / 10000 }

  /// Loads the dump. With one stream and one connection it is loaded whole or not at all; of several streams each is, between
  /// the definitions that rows need and those that need rows.
  /// - Returns: What pg_restore said besides.
  /// - Throws: `ProgramError` with pg_restore's words; ``DumpLoadingError``; what reading the dump does.
  public func load(_ options: Options, observe: @escaping @Sendable (RunProgress) -> Void) throws -> [String] {
    let connection = try ProgramConnection(
      options.connection, database: options.database, applicationName: "backupctl restore-dump")
    try requireDatabase(connection)
    let program = try ServerProgram.find("pg_restore", version: version, in: options.programs)
    var arguments = ["--no-password", "--dbname=\(connection.words)", "--exit-on-error"]
    arguments += options.tables.map { "--table=\($0)" }
    if options.isForScratch {
      arguments += ["--no-owner", "--no-privileges", "--no-subscriptions", "--no-publications"]
    }
    if options.isClean { arguments += ["--clean", "--if-exists"] }
    let meter = LoadMeter(observe, total: reader.header.totalBytes)
    if streams.count > 1 { return try loadStreams(program, arguments, connection, options, meter) }
    guard options.jobs > 1 else {
      return try feed(
        reader, DumpStream.custom, program, arguments + ["--single-transaction"], connection.environment, meter)
    }
    let path = try spool(into: options.spoolDirectory, meter)
    defer { unlink(path) }
    observe(RunProgress(phase: "loading"))
    return try runAlone(program, arguments + ["--jobs=\(options.jobs)", path], connection.environment)
  }

  /// pg_restore would find the same, without saying what to do.
  private func requireDatabase(_ connection: ProgramConnection) throws {
    do {
      try Connection(
        connection.complete.revealText(), applicationName: "backupctl restore-dump", cancellation: cancellation
      ).close()
    } catch PostgresError.databaseMissing(let server) {
      throw DumpLoadingError.databaseMissing(server)
    }
  }

  func runAlone(_ path: String, _ arguments: [String], _ environment: [String: String]) throws -> [String] {
    let program = try PipedProgram(path, arguments, environment: environment, .none, cancellation: cancellation)
    try program.finish()
    return program.words
  }

  /// The dump's table of contents, a line for each entry, as `pg_restore --list` prints it; of all streams one after another.
  public func contents(programs: String? = nil) throws -> [String] {
    try streams.flatMap { try contents(of: $0, programs) }
  }

  private func contents(of stream: String, _ programs: String?) throws -> [String] {
    let program = try ServerProgram.find("pg_restore", version: version, in: programs)
    var path = Array("/tmp/backupctl-list-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    let name = path.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    guard descriptor >= 0 else { throw FileError.last("create", name) }
    close(descriptor)
    defer { unlink(name) }
    _ = try feed(reader, stream, program, ["--list", "--file=\(name)"], [:], nil)
    let text = String(decoding: try DurableFile.read(name, limit: 1 << 30), as: UTF8.self)
    return text.split(whereSeparator: \.isNewline).map(String.init).filter { !$0.hasPrefix(";") }
  }

  /// Through the program's standard input; it may close that early.
  func feed(
    _ reader: DumpReader, _ stream: String, _ path: String, _ arguments: [String], _ environment: [String: String],
    _ meter: LoadMeter?
  ) throws -> [String] {
    let program = try PipedProgram(
      path, arguments, environment: environment, .input, cancellation: cancellation)
    do {
      try reader.read(stream, cancellation: cancellation) { bytes in
        if try !program.write(bytes) { throw NoMoreWanted() }
        meter?.add(bytes.count, "loading")
      }
    } catch is NoMoreWanted {
      // Its exit status says whether it had all it needs.
    }
    try program.finish()
    return program.words
  }

  /// pg_restore reads a file from several places at once, and cannot do that with a pipe.
  private func spool(into directory: String, _ meter: LoadMeter) throws -> String {
    var facts = statvfs()
    guard statvfs(directory, &facts) == 0 else { throw FileError.last("ask for the free space of", directory) }
    let free = ByteCount(Int64(clamping: UInt64(facts.f_bavail) * UInt64(facts.f_frsize)))
    let needed = reader.header.totalBytes
    guard free > needed else { throw DumpLoadingError.spaceLacking(directory, needed: needed, free: free) }
    let path = directory + "/backupctl-\(reader.header.id)-\(getpid())"
    do {
      let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL)
      try reader.read(DumpStream.custom, cancellation: cancellation) {
        try file.writeAll($0)
        meter.add($0.count, "reading")
      }
    } catch {
      unlink(path)
      throw error
    }
    return path
  }
}

public enum DumpLoadingError: OperatorError {
  case spaceLacking(String, needed: ByteCount, free: ByteCount)
  case databaseMissing(ServerAddress)

  public var summary: String {
    switch self {
    case .spaceLacking(let path, _, _): "cannot put the dump into \"\(path)\": too little space"
    case .databaseMissing(let server): "cannot load the dump into database \"\(server.database)\""
    }
  }
  public var detail: String? {
    switch self {
    case .spaceLacking(_, let needed, let free):
      "\(needed) are needed there while several connections load it; \(free) are free."
    case .databaseMissing(let server): "There is no such database on server \"\(server)\"."
    }
  }
  public var hint: String? {
    switch self {
    case .spaceLacking: "Name another directory with \"--spool DIRECTORY\", or load without \"--jobs\"."
    case .databaseMissing(let server):
      "Make it first, from a template without objects of its own: createdb --template=template0 \(server.database)"
    }
  }
}
