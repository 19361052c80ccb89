public import BackupModel
public import BlockingWork
internal import DurableFiles
internal import ServerPrograms

#if canImport(Glibc)
  import Glibc
#endif

/// Starts PostgreSQL on a restored directory and waits until it has reached its target, or says why it did not.
///
/// The server keeps running when this process ends. Its log goes to `<directory>.start.log` and, so that its words can
/// be read here, is not collected elsewhere and not translated until it is restarted by its service.
public struct ServerStart: Sendable {
  public struct Options: Sendable {
    /// Where `postgres` of the right major version is; nil looks in the usual places.
    public var binDirectory: String?
    /// Nil leaves what the configuration says; with a minimal configuration, a free one.
    public var port: UInt16?
    public var socketDirectory: String?
    /// Give up waiting (the server goes on) after so long; nil waits as long as it runs.
    public var deadline: Duration?
    public init() {}
  }
  public struct Result: Sendable {
    public var outcome: ServerOutcome
    public var phases: [RunPhase]
    public var warnings: [String]
  }

  private let directory: String
  private let configurationDirectory: String?
  private let action: TargetAction
  private let owner: String?
  private let options: Options
  private var logFile: String { directory + ".start.log" }

  /// - Parameters:
  ///   - configurationDirectory: Where the restore wrote configuration files from outside the data directory.
  ///   - owner: As for the restore.
  public init(
    directory: String, configurationDirectory: String?, action: TargetAction, owner: String?, options: Options
  ) {
    self.directory = directory
    self.configurationDirectory = configurationDirectory
    self.action = action
    self.owner = owner
    self.options = options
  }

  /// Returns once the server has been promoted, has paused or has shut down, as the restore asked for.
  /// - Throws: ``RecoveryError``, `CancellationError`; a server that still replays goes on.
  public func run(
    cancellation: Cancellation, observe: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) throws -> Result {
    var clock = PhaseClock()
    let ownership = try Ownership.resolve(owner: owner, destination: directory)
    let program = try ServerProgram.find("postgres", version: try majorVersion(), in: options.binDirectory)
    let (arguments, warnings) = try makeArguments(ownership)
    let offset = try openLog(ownership)
    observe(RunProgress(phase: "recovery"))
    let server = try ChildProcess(
      program, arguments, as: ownership.mustChange ? ownership : nil, directory: directory, log: logFile)
    let state = try wait(for: server, cancellation, logOffset: offset)
    clock.end("recovery")
    let place = Postmaster(directory)
    return Result(
      outcome: ServerOutcome(
        state: state, port: place?.port, socketDirectory: place?.socketDirectory, logFile: logFile),
      phases: clock.phases, warnings: warnings)
  }

  private func majorVersion() throws -> Int {
    let text = String(decoding: try DurableFile.read(directory + "/PG_VERSION", limit: 64), as: UTF8.self)
    guard let version = Int(text.prefix { $0.isNumber }) else {
      throw RecoveryError.notCluster(directory, reason: "Its PG_VERSION does not say a version.")
    }
    return version
  }

  private func makeArguments(_ ownership: Ownership) throws -> (arguments: [String], warnings: [String]) {
    var arguments = ["-D", directory]
    var warnings: [String] = []
    func set(_ name: String, _ value: String) { arguments += ["-c", "\(name)=\(value)"] }
    set("logging_collector", "off")
    set("log_destination", "stderr")
    set("lc_messages", "C")
    if let configurationDirectory, DurableFile.exists(configurationDirectory + "/postgresql.conf") {
      // The files name their old places themselves.
      set("config_file", configurationDirectory + "/postgresql.conf")
      set("data_directory", directory)
      for (name, file) in [("hba_file", "pg_hba.conf"), ("ident_file", "pg_ident.conf")] {
        for place in [configurationDirectory, directory] where DurableFile.exists(place + "/" + file) {
          set(name, place + "/" + file)
          break
        }
      }
    } else if !DurableFile.exists(directory + "/postgresql.conf") {
      let port = try options.port ?? FreePort.find()
      let minimal = MinimalConfiguration(
        control: try ControlFile(readingFrom: directory), directory: directory, port: port)
      let written = try minimal.write(for: ownership).map { "\"\($0)\"" }.joined(separator: ", ")
      warnings.append("The data directory had no configuration; a minimal one was written: \(written).")
    }
    if let port = options.port { set("port", "\(port)") }
    if let socketDirectory = options.socketDirectory { set("unix_socket_directories", socketDirectory) }
    return (arguments, warnings)
  }

  /// - Returns: Where this start's lines begin.
  private func openLog(_ ownership: Ownership) throws -> Int64 {
    let file = try Descriptor(opening: logFile, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW)
    if ownership.mustChange, fchown(file.number, ownership.user, ownership.group) != 0 {
      throw FileError.last("give to \(ownership.name)", logFile)
    }
    return try file.size()
  }

  private func wait(
    for server: ChildProcess, _ cancellation: Cancellation, logOffset: Int64
  ) throws -> ServerOutcome.State {
    let start = ContinuousClock.now
    while true {
      if let status = server.ended() { return try ended(status, logOffset) }
      if let place = Postmaster(directory), place.pid == server.pid, place.isReady {
        if isInProduction { return .promoted }
        if action == .pause, try hasPaused(logOffset) { return .paused }
      }
      if let deadline = options.deadline, ContinuousClock.now - start > deadline {
        throw RecoveryError.deadlinePassed(directory, after: deadline, log: logFile)
      }
      try cancellation.sleep(.milliseconds(50))
    }
  }

  /// Whether recovery has ended. "ready" in `postmaster.pid` does not tell: a server that replays and answers queries is
  /// ready as well. A control file that is being written over reads as damaged; the next look tells.
  private var isInProduction: Bool { (try? ControlFile(readingFrom: directory))?.state == .inProduction }

  private func hasPaused(_ offset: Int64) throws -> Bool {
    try ServerLog(logFile, from: offset).lines.contains { $0.contains("pausing at the end of recovery") }
  }

  private func ended(_ status: Int32, _ offset: Int64) throws -> ServerOutcome.State {
    if action == .shutdown, try ControlFile(readingFrom: directory).state == .shutDownInRecovery { return .shutDown }
    throw RecoveryError.serverNotStarted(
      directory, reason: try ServerLog(logFile, from: offset).reasons, log: logFile)
  }
}

/// What `postmaster.pid` says.
/// - SeeAlso: PostgreSQL source, `miscadmin.h`, `LOCK_FILE_LINE_PID` and those after it.
struct Postmaster {
  let pid: pid_t
  let port: Int?
  let socketDirectory: String?
  private let status: String

  /// Nil while there is none, or while it is being written.
  init?(_ directory: String) {
    guard let bytes = try? DurableFile.read(directory + "/postmaster.pid", limit: 4096) else { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count >= 8, let pid = pid_t(lines[0]) else { return nil }
    self.pid = pid
    port = Int(lines[3])
    socketDirectory = lines[4].isEmpty ? nil : String(lines[4])
    status = String(lines[7].prefix { $0 != " " })
  }

  /// The server answers queries, be it in recovery or after it.
  var isReady: Bool { status == "ready" }
}

/// The lines a start added to the server's log.
struct ServerLog {
  let lines: [Substring]

  init(_ path: String, from offset: Int64) throws {
    let file = try Descriptor(opening: path, O_RDONLY)
    // The end is what matters, should there be more.
    let size = try file.size()
    let start = max(offset, size - (1 << 20))
    var bytes = [UInt8](repeating: 0, count: Int(max(0, size - start)))
    let count = try bytes.withUnsafeMutableBufferPointer {
      try file.readAll(into: UnsafeMutableRawBufferPointer($0), at: start)
    }
    lines = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
  }

  /// The last lines that say why it ended, with what belongs to them.
  var reasons: [String] {
    let severe = ["FATAL:", "PANIC:", "ERROR:"]
    let details = ["DETAIL:", "HINT:", "CONTEXT:"]
    guard let last = lines.lastIndex(where: { line in severe.contains { line.contains($0) } }) else {
      return lines.suffix(3).map(String.init)
    }
    let following = lines[(last + 1)...].prefix { line in details.contains { line.contains($0) } }
    return ([lines[last]] + following).map(String.init)
  }
}
