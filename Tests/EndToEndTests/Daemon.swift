import BackupModel
import FoundationEssentials
import Glibc
import TestSupport

/// The files of one installation, as an operator would set it up: configuration, key file, one store, state, socket.
///
/// All lie in a directory of user `postgres`, who runs the programs, and are gone when the closure ends. The daemon does
/// not run until ``withDaemon(environment:_:)``.
struct BackupSite: Sendable {
  static let cluster = "main"

  /// What the configuration says. Text that is put into YAML as it is.
  struct Options: Sendable {
    var connection: String
    /// Nil takes a directory beside the others.
    var storePath: String?
    /// Nil takes `{key-file: …}` beside the others.
    var encryption: String?
    var partialInterval = "1s"
    var workers = 2
    /// Keys after those of the job, such as `full: true`.
    var physical: [String] = []
    /// Keys of the cluster after its connection, such as `data-directory: /srv/data`.
    var clusterKeys: [String] = []
    /// Whether there is a job of kind `wal`.
    var streamsWAL = true

    init(_ server: PostgresServer) { connection = server.connection }
  }

  let directory: String
  let options: Options
  private let programs: String

  var configuration: String { directory + "/backupd.yaml" }
  var store: String { options.storePath ?? directory + "/repository" }
  var keyFile: String { directory + "/repository.key" }
  var state: String { directory + "/state" }
  var socket: String { directory + "/control.sock" }

  /// An installation for the length of the closure; `creating` says whether its repository is created.
  static func run<Result>(
    _ server: PostgresServer, creating: Bool = true, change: (inout Options) -> Void = { _ in },
    _ body: (BackupSite) throws -> Result
  ) throws -> Result {
    try TemporaryDirectory.run { directory in
      try ProgramUser.postgres.own(directory)
      var options = Options(server)
      change(&options)
      let site = BackupSite(
        directory: directory, options: options, programs: try programs(copyingTo: directory + "/bin"))
      try site.writeConfiguration(site.standardConfiguration)
      if creating { try site.succeed("repository", "create") }
      return try body(site)
    }
  }

  /// The configuration with two jobs, `wal` and `physical`, for cluster `main`.
  var standardConfiguration: String {
    let physical = (["kind: physical", "cluster: main"] + options.physical).joined(separator: ", ")
    let wal = "  wal: {kind: wal, cluster: main, partial-interval: \(options.partialInterval)}\n"
    return """
      daemon: {state-directory: \(state), socket: \(socket), workers: \(options.workers)}
      clusters:
        main: {\((["connection: \"\(options.connection)\""] + options.clusterKeys).joined(separator: ", "))}
      repository:
        encryption: \(options.encryption ?? "{key-file: \(keyFile)}")
        stores:
          local: {path: \(store)}
      jobs:
        physical: {\(physical)}
      \(options.streamsWAL ? wal : "")
      """
  }

  func writeConfiguration(_ text: String) throws {
    try text.write(toFile: configuration, atomically: false, encoding: .utf8)
  }

  func program(_ name: String) -> String { programs + "/" + name }

  /// Where user `postgres` can run them: as they lie, or copied where the way there is closed to others.
  private static func programs(copyingTo copies: String) throws -> String {
    let built = try Programs.directory()
    if try Program.run("/usr/bin/test", ["-x", built + "/backupd"], as: .postgres).succeeded { return built }
    try FileManager.default.createDirectory(atPath: copies, withIntermediateDirectories: true)
    for name in ["backupd", "backupctl", "backupd-wal"] {
      try FileManager.default.copyItem(atPath: "\(built)/\(name)", toPath: "\(copies)/\(name)")
    }
    return copies
  }
}

// MARK: - backupctl

extension BackupSite {
  /// Runs `backupctl` with this configuration.
  @discardableResult
  func backupctl(
    _ arguments: [String], as user: ProgramUser = .postgres, environment: [String: String] = [:],
    deadline: Duration = .seconds(300)
  ) throws -> ProgramResult {
    let variables = ["BACKUPD_CONFIG": configuration].merging(environment) { $1 }
    return try Program.run(program("backupctl"), arguments, environment: variables, as: user, deadline: deadline)
  }

  @discardableResult
  func backupctl(_ arguments: String..., as user: ProgramUser = .postgres) throws -> ProgramResult {
    try backupctl(arguments, as: user)
  }

  /// Runs a command that must exit 0.
  @discardableResult
  func succeed(
    _ arguments: [String], as user: ProgramUser = .postgres, deadline: Duration = .seconds(300)
  ) throws -> String {
    let result = try backupctl(arguments, as: user, deadline: deadline)
    guard result.succeeded else {
      throw TestSupportError.programFailed(
        command: "backupctl " + arguments.joined(separator: " "), status: result.status,
        standardOutput: result.standardOutput, standardError: result.standardError)
    }
    return result.standardOutput
  }

  @discardableResult
  func succeed(_ arguments: String..., as user: ProgramUser = .postgres) throws -> String {
    try succeed(arguments, as: user)
  }

  /// Runs a command with `--json`, whatever its exit status, and reads the document it prints.
  func json(_ arguments: [String], as user: ProgramUser = .postgres, deadline: Duration = .seconds(300)) throws -> JSON
  {
    let result = try backupctl(arguments + ["--json"], as: user, deadline: deadline)
    do {
      return try JSON(parsing: result.standardOutput)
    } catch {
      throw EndToEndError.notJSON(
        command: "backupctl " + arguments.joined(separator: " "), output: result.standardOutput,
        error: result.standardError)
    }
  }

  func json(_ arguments: String..., as user: ProgramUser = .postgres) throws -> JSON { try json(arguments, as: user) }

  /// Takes a backup; the daemon must run.
  /// - Returns: The backup's id.
  @discardableResult
  func backup() throws -> String {
    guard let id = try json("run", "physical")["backup"].text else {
      throw EndToEndError.unexpected("job \"physical\" made no backup: \(try backupctl("runs", "physical"))")
    }
    return id
  }

  /// Returns once every store holds all WAL that the server has written by now.
  func waitUntilDurable(_ server: PostgresServer, deadline: Duration = .seconds(60)) throws {
    let wanted = try LSN(try server.psql("select pg_current_wal_flush_lsn()"))
    try Poll.until(deadline, "WAL up to \(wanted) in the store", every: .milliseconds(100)) {
      let stores = try json("wal", "status")[0]["stores"].array ?? []
      return try !stores.isEmpty
        && stores.allSatisfy { try $0["durableLSN"].text.map { try LSN($0) >= wanted } ?? false }
    }
  }

  /// A directory for a restore that does not exist yet; its parent is user `postgres`'s.
  func fresh(_ name: String) throws -> String { directory + "/" + name }
}

// MARK: - backupd

/// `backupd`, running.
struct RunningDaemon: Sendable {
  let program: RunningProgram
  var pid: Int32 { program.pid }
  var log: String { program.standardError }
  var isRunning: Bool { program.ended == nil }

  /// SIGTERM, and waits for its end.
  @discardableResult
  func stop() throws -> ProgramResult {
    program.signal(SIGTERM)
    return try program.waitForExit(deadline: .seconds(30))
  }

  /// SIGKILL, and waits for its end.
  func kill() throws {
    program.signal(SIGKILL)
    try program.waitForExit(deadline: .seconds(10))
  }

  /// A line of `/proc/PID/status` in bytes: `VmRSS`, the memory held now, or `VmHWM`, the most it ever held.
  func memory(_ line: String) throws -> Int {
    let path = "/proc/\(pid)/status"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let found = text.split(separator: "\n").first { $0.hasPrefix(line + ":") }?.split(whereSeparator: \.isWhitespace)
    guard let found, found.count == 3, let kilobytes = Int(found[1]) else {
      throw EndToEndError.unexpected("\"\(path)\" has no line \(line)")
    }
    return kilobytes * 1024
  }
}

extension BackupSite {
  /// Runs the daemon as user `postgres` beside the closure, which begins once `backupctl status` answers. What still runs
  /// at the end is stopped as systemd would.
  func withDaemon<Result>(
    environment: [String: String] = [:], wrapper: [String] = [], _ body: (RunningDaemon) throws -> Result
  ) throws -> Result {
    try startingDaemon(environment: environment, wrapper: wrapper) { daemon in
      try waitUntilReady(daemon)
      return try body(daemon)
    }
  }

  /// The same without waiting for readiness: for a daemon that is not expected to get there.
  func startingDaemon<Result>(
    environment: [String: String] = [:], wrapper: [String] = [], _ body: (RunningDaemon) throws -> Result
  ) throws -> Result {
    // Set by env, so that what is preloaded is not loaded by whatever switches user and namespace first.
    let variables = environment.map { "\($0)=\($1)" }
    return try Program.running(
      "/usr/bin/env", variables + [program("backupd"), "--config", configuration], as: .postgres, wrapper: wrapper
    ) { program in
      let daemon = RunningDaemon(program: program)
      do {
        let result = try body(daemon)
        if daemon.isRunning { try daemon.stop() }
        return result
      } catch {
        // What it said is half of why the test failed.
        let text = Array("backupd said:\n\(daemon.log.suffix(6000))\n".utf8)
        _ = text.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        throw error
      }
    }
  }

  /// Returns once `backupctl status` answers.
  func waitUntilReady(_ daemon: RunningDaemon, deadline: Duration = .seconds(30)) throws {
    var answer: ProgramResult?
    do {
      try Poll.until(deadline, "backupd answering", every: .milliseconds(50)) {
        guard daemon.isRunning else { throw EndToEndError.daemonEnded(daemon.log) }
        answer = try backupctl("status")
        return answer?.status == .exited(0) || answer?.status == .exited(3)
      }
    } catch {
      Programs.note("backupctl status said at the end: \(answer.map { "\($0)" } ?? "nothing")")
      throw error
    }
  }
}
