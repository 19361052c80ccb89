internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// A real PostgreSQL server of our own: fresh data directory with page checksums, loopback and a unix socket only.
///
/// On the socket everybody is trusted; over TCP the superuser `postgres` has the password ``password`` (SCRAM).
/// Where the tests run as root the server runs as user `postgres`. It writes without fsync: tests of power loss are
/// not made with it. Server and directory are gone when the closure ends, however it ends.
public final class PostgresServer: Sendable {
  public static let password = "correct horse"

  public let installation: PostgresInstallation
  public let dataDirectory: String
  /// Holds the socket, the log and the directories of tablespaces; user `postgres` owns it.
  public let workDirectory: String
  public let port: UInt16
  private let stopMode = Mutex<StopMode>(.immediate)

  public enum StopMode: String, Sendable { case smart, fast, immediate }

  init(installation: PostgresInstallation, dataDirectory: String, workDirectory: String, port: UInt16) {
    self.installation = installation
    self.dataDirectory = dataDirectory
    self.workDirectory = workDirectory
    self.port = port
  }

  /// The major versions that tests run on.
  public static var versions: [Int] { PostgresInstallation.supported }

  public var version: Int { installation.version }
  public var binDirectory: String { installation.binDirectory }
  public var socketDirectory: String { workDirectory }
  public var logFile: String { workDirectory + "/server.log" }
  public var log: String { (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? "" }

  /// A libpq connection string for the superuser over the socket.
  public var connection: String { connection(database: "postgres") }
  public func connection(database: String) -> String {
    "host=\(socketDirectory) port=\(port) user=postgres dbname=\(database)"
  }
  /// A libpq connection string for the superuser over TCP, with the password.
  public var tcpConnection: String {
    "host=127.0.0.1 port=\(port) user=postgres password='\(Self.password)' dbname=postgres"
  }

  /// The postmaster's pid, from its `postmaster.pid`.
  public var pid: Int32 {
    get throws {
      let path = dataDirectory + "/postmaster.pid"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      guard let pid = text.split(whereSeparator: \.isNewline).first.flatMap({ Int32($0) }) else {
        throw TestSupportError.systemCall("read a pid from", path: path, errno: EINVAL)
      }
      return pid
    }
  }

  public var isRunning: Bool {
    get throws {
      try Program.run(
        installation.program("pg_ctl"), ["status", "-D", dataDirectory], as: .postgres
      ).succeeded
    }
  }
}

extension PostgresServer {
  /// A server for the length of the closure.
  ///
  /// - Parameters:
  ///   - version: Major version, 15 to 18.
  ///   - options: Settings written to `postgresql.conf`, such as `["wal_level": "minimal", "max_wal_senders": "0"]`.
  ///   - initdb: More arguments for `initdb`, such as `["--wal-segsize=1"]`.
  public static func run<Result>(
    version: Int = 15, options: [String: String] = [:], initdb: [String] = [],
    _ body: (PostgresServer) throws -> Result
  ) throws -> Result {
    try TemporaryDirectory.run { directory in
      let server = try create(version: version, options: options, initdb: initdb, directory: directory)
      defer { server.end() }
      try server.start()
      return try body(server)
    }
  }

  public static func run<Result>(
    version: Int = 15, options: [String: String] = [:], initdb: [String] = [],
    isolation: isolated (any Actor)? = #isolation, _ body: (PostgresServer) async throws -> Result
  ) async throws -> Result {
    try await TemporaryDirectory.run { directory in
      let server = try create(version: version, options: options, initdb: initdb, directory: directory)
      defer { server.end() }
      try server.start()
      return try await body(server)
    }
  }

  private static func create(
    version: Int, options: [String: String], initdb: [String], directory: String
  ) throws -> PostgresServer {
    let installation = try PostgresInstallation.find(version)
    try ProgramUser.postgres.own(directory)
    let server = PostgresServer(
      installation: installation, dataDirectory: directory + "/data", workDirectory: directory,
      port: try FreePort.find())
    let passwordFile = directory + "/password"
    try password.write(toFile: passwordFile, atomically: false, encoding: .utf8)
    try ProgramUser.postgres.own(passwordFile)
    try Program.succeed(
      installation.program("initdb"),
      [
        "-D", server.dataDirectory, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
        "--pwfile=\(passwordFile)", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        "--no-instructions",
      ] + initdb, as: .postgres)
    var settings = [
      "fsync": "off", "shared_buffers": "32MB", "max_connections": "40", "wal_level": "replica",
      "max_wal_senders": "10", "max_replication_slots": "10", "timezone": "UTC", "log_timezone": "UTC",
      "log_line_prefix": "%m [%p] ",
    ]
    settings.merge(options) { $1 }
    try server.configure(settings)
    return server
  }

  /// Appends settings to `postgresql.conf`; a restart or `select pg_reload_conf()` makes them count.
  public func configure(_ settings: [String: String]) throws {
    let path = dataDirectory + "/postgresql.conf"
    let lines = settings.sorted { $0.key < $1.key }.map { "\($0) = '\(Self.quoted($1))'\n" }
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try (text + lines.joined()).write(toFile: path, atomically: false, encoding: .utf8)
  }

  /// Doubles the single quotes of a literal in SQL or in a configuration file.
  static func quoted(_ text: String) -> String {
    text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
  }
}
