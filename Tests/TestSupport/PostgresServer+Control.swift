internal import FoundationEssentials
internal import Glibc

extension PostgresServer {
  /// Starts the server and returns once it accepts connections.
  ///
  /// - Parameter options: Settings for this start only; they go before `postgresql.conf`.
  /// - Throws: ``TestSupportError/serverNotStarted(directory:output:log:)`` with the end of the server's log.
  public func start(options: [String: String] = [:], deadline: Duration = .seconds(60)) throws {
    var arguments = ["-p", "\(port)", "-k", socketDirectory, "-h", "127.0.0.1"]
    for (name, value) in options.sorted(by: { $0.key < $1.key }) { arguments += ["-c", "\(name)=\(value)"] }
    // pg_ctl hands the options to a shell.
    let text = arguments.map {
      "'" + $0.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
    let result = try Program.run(
      installation.program("pg_ctl"),
      [
        "start", "-D", dataDirectory, "-l", logFile, "-w", "-t", "\(deadline.components.seconds)", "-o",
        text.joined(separator: " "),
      ], as: .postgres, deadline: deadline + .seconds(10))
    guard result.succeeded else {
      throw TestSupportError.serverNotStarted(
        directory: dataDirectory, output: result.standardOutput + result.standardError, log: log)
    }
  }

  public func stop(_ mode: StopMode = .fast) throws {
    try Program.succeed(
      installation.program("pg_ctl"), ["stop", "-D", dataDirectory, "-m", mode.rawValue, "-w"], as: .postgres)
  }

  public func restart(_ mode: StopMode = .fast, options: [String: String] = [:]) throws {
    try stop(mode)
    try start(options: options)
  }

  /// Kills the postmaster and everything it started, as a power failure would: SIGKILL, nothing is written.
  public func crash() throws {
    let postmaster = try pid
    let children = Self.children(of: postmaster)
    for process in [postmaster] + children { kill(process, SIGKILL) }
    try Poll.until(.seconds(10), "the killed server") {
      ([postmaster] + children).allSatisfy { kill($0, 0) != 0 || Self.isZombie($0) }
    }
    // Where nobody reaps orphans the dead postmaster's pid still exists, and the next start would believe it alive.
    for path in [dataDirectory + "/postmaster.pid", "\(socketDirectory)/.s.PGSQL.\(port).lock"] {
      try FileManager.default.removeItem(atPath: path)
    }
  }

  /// Stops whatever runs in the data directory; for the way out, where there may be nothing to stop.
  func end() {
    guard FileManager.default.fileExists(atPath: dataDirectory + "/postmaster.pid") else { return }
    _ = try? Program.run(
      installation.program("pg_ctl"), ["stop", "-D", dataDirectory, "-m", "immediate", "-w"], as: .postgres)
  }

  private static func children(of parent: Int32) -> [Int32] {
    let text = try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
    return text?.split(separator: " ").compactMap { Int32($0) } ?? []
  }

  private static func isZombie(_ process: Int32) -> Bool {
    let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    return text?.split(separator: ")").last?.hasPrefix(" Z") ?? true
  }
}

extension PostgresServer {
  /// A server on a data directory that something else made: a restore. The directory stays; the server is stopped.
  ///
  /// Port and socket are given on the command line and stand above what the restored configuration says.
  /// - Throws: ``TestSupportError/serverNotStarted(directory:output:log:)`` where recovery ends in an error.
  public static func startRestored<Result>(
    directory: String, version: Int = 15, options: [String: String] = [:], deadline: Duration = .seconds(120),
    _ body: (PostgresServer) throws -> Result
  ) throws -> Result {
    try TemporaryDirectory.run { work in
      try ProgramUser.postgres.own(work)
      let server = PostgresServer(
        installation: try PostgresInstallation.find(version), dataDirectory: directory, workDirectory: work,
        port: try FreePort.find())
      defer { server.end() }
      try server.start(options: options.merging(["fsync": "off"]) { given, _ in given }, deadline: deadline)
      return try body(server)
    }
  }

  /// A server that something else has started, such as `backupctl restore --start`; stopped when the closure ends.
  public static func startedElsewhere<Result>(
    directory: String, version: Int = 15, _ body: (PostgresServer) throws -> Result
  ) throws -> Result {
    let path = directory + "/postmaster.pid"
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    // Line 4 is the port, line 5 the first socket directory (miscadmin.h, LOCK_FILE_LINE_*).
    guard lines.count > 4, let port = UInt16(lines[3]) else {
      throw TestSupportError.systemCall("read the port from", path: path, errno: EINVAL)
    }
    let server = PostgresServer(
      installation: try PostgresInstallation.find(version), dataDirectory: directory,
      workDirectory: String(lines[4]), port: port)
    defer { server.end() }
    return try body(server)
  }

  /// Returns once recovery has ended and the server takes writes.
  public func waitUntilPromoted(deadline: Duration = .seconds(60)) throws {
    try Poll.until(deadline, "promotion of \(dataDirectory)") { try psql("select pg_is_in_recovery()") == "f" }
  }
}
