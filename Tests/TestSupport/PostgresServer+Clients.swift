internal import FoundationEssentials
internal import Glibc

extension PostgresServer {
  /// Runs SQL, statement by statement, as the superuser over the socket.
  /// - Returns: Rows one a line, columns divided by `|`, without the last line's end.
  /// - Throws: ``TestSupportError/programFailed(command:status:standardOutput:standardError:)`` at the first error.
  @discardableResult
  public func psql(_ sql: String, database: String = "postgres") throws -> String {
    let output = try Program.succeed(
      installation.program("psql"),
      ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", connection(database: database), "-f", "-"], input: sql)
    return output.hasSuffix("\n") ? String(output.dropLast()) : output
  }

  /// Fills a database with pgbench's tables: about 15 MB a unit of scale.
  public func pgbenchInitialize(scale: Int = 1, database: String = "postgres") throws {
    try Program.succeed(
      installation.program("pgbench"), ["-i", "-q", "-s", "\(scale)", connection(database: database)],
      deadline: .seconds(600))
  }

  /// Runs pgbench to its end.
  /// - Parameter script: A custom script's text; nil runs the built-in TPC-B.
  @discardableResult
  public func pgbench(
    clients: Int = 2, transactions: Int = 100, script: String? = nil, database: String = "postgres"
  ) throws -> String {
    try withScript(script) { arguments in
      try Program.succeed(
        installation.program("pgbench"),
        ["-n", "-c", "\(clients)", "-t", "\(transactions)"] + arguments + [connection(database: database)])
    }
  }

  /// Runs pgbench beside the closure and stops it when the closure ends.
  public func underLoad<Result>(
    clients: Int = 2, script: String? = nil, database: String = "postgres",
    _ body: (RunningProgram) throws -> Result
  ) throws -> Result {
    try withScript(script) { arguments in
      try Program.running(
        installation.program("pgbench"),
        ["-n", "-c", "\(clients)", "-T", "3600"] + arguments + [connection(database: database)], body)
    }
  }

  public func underLoad<Result>(
    clients: Int = 2, script: String? = nil, database: String = "postgres",
    isolation: isolated (any Actor)? = #isolation, _ body: (RunningProgram) async throws -> Result
  ) async throws -> Result {
    try await TemporaryDirectory.run { directory in
      let arguments = try Self.store(script, in: directory)
      return try await Program.running(
        installation.program("pgbench"),
        ["-n", "-c", "\(clients)", "-T", "3600"] + arguments + [connection(database: database)], body)
    }
  }

  /// Makes a tablespace in a directory of its own, which goes with the server.
  /// - Returns: The directory.
  @discardableResult
  public func createTablespace(_ name: String) throws -> String {
    let directory = workDirectory + "/tablespace-" + name
    try Errno.check(mkdir(directory, 0o700), "mkdir", directory)
    try ProgramUser.postgres.own(directory)
    try psql("create tablespace \(name) location '\(Self.quoted(directory))'")
    return directory
  }

  /// Makes a role of a new name and returns its TCP connection string, password included.
  /// - Parameter attributes: Such as `"replication"`.
  public func freshRole(attributes: String = "") throws -> String {
    let name = "role_\(UInt32.random(in: 0 ... .max))"
    try psql("create role \(name) login \(attributes) password '\(Self.password)'")
    return "host=127.0.0.1 port=\(port) user=\(name) password='\(Self.password)' dbname=postgres"
  }

  private func withScript<Result>(_ script: String?, _ body: ([String]) throws -> Result) throws -> Result {
    try TemporaryDirectory.run { try body(try Self.store(script, in: $0)) }
  }

  private static func store(_ script: String?, in directory: String) throws -> [String] {
    guard let script else { return [] }
    let path = directory + "/script.sql"
    try script.write(toFile: path, atomically: false, encoding: .utf8)
    return ["-f", path]
  }
}
