import BackupModel
import BlockingWork
import Dispatch
import TestSupport
import Testing

@testable import Postgres

#if canImport(Glibc)
  import Glibc
#endif

@Suite("A connection") struct ConnectionTests {
  @Test("answers queries, passes on notices and says why it cannot", arguments: [15, 18])
  func queries(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try answers(server)
      try notices(server)
      try refusals(server)
      try cancels(server)
      try endsWithServer(server)
    }
  }

  private func answers(_ server: PostgresServer) throws {
    let connection = try Sessions.sql(server.tcpConnection)
    let result = try connection.query("SELECT $1::int + 1 AS n, $2::text AS t, 'ä' AS u", ["41", nil])
    #expect(result == QueryResult(columns: ["n", "t", "u"], rows: [["42", nil, "ä"]]))
    #expect(result[0, "n"] == "42" && result[0, "missing"] == nil && result[1, "n"] == nil)
    #expect(try connection.query("SELECT 1; SELECT 2").scalar == "2")
    for parameter in ["statement_timeout", "lock_timeout", "idle_session_timeout"] {
      #expect(try connection.query("SHOW \(parameter)").scalar == "0")
    }
    #expect(try connection.query("SHOW application_name").scalar == "backupd-test")
    let failure = postgresError { try connection.query("SELECT * FROM nowhere") }
    #expect(failure?.summary == "could not query server \"127.0.0.1:\(server.port)\"")
    #expect(failure?.detail?.contains("42P01") == true)
    #expect(try connection.query("SELECT 3").scalar == "3", "a failed query must not spoil the connection")
  }

  private func notices(_ server: PostgresServer) throws {
    let seen = Collected<ServerMessage>()
    let connection = try Sessions.sql(server.connection) { seen.add($0) }
    try connection.query("DO $$ BEGIN RAISE WARNING 'mind %', 'this' USING HINT = 'do it'; END $$")
    #expect(seen.elements.map(\.message) == ["mind this"])
    #expect(seen.elements.first?.severity == "WARNING")
    #expect(seen.elements.first?.hint == "do it")
  }

  private func refusals(_ server: PostgresServer) throws {
    let base = "host=127.0.0.1 port=\(server.port)"
    let wrong = postgresError { _ = try Sessions.sql("\(base) user=postgres password=guess-3141 dbname=postgres") }
    guard case .authenticationFailed = wrong else { throw Unexpected(wrong) }
    #expect("\(ErrorReport(wrong!))".contains("guess-3141") == false)
    let none = postgresError { _ = try Sessions.sql("\(base) user=postgres dbname=postgres passfile=/nowhere") }
    guard case .authenticationFailed = none else { throw Unexpected(none) }
    let database = postgresError { _ = try Sessions.sql(server.connection(database: "nowhere")) }
    guard case .databaseMissing = database else { throw Unexpected(database) }
    let role = try server.freshRole()
    let denied = postgresError { _ = try Sessions.replication(role) }
    guard case .replicationAttributeMissing = denied else { throw Unexpected(denied) }
    #expect(denied?.hint?.contains("ALTER ROLE \"role_") == true)
    let limited = try server.freshRole(attributes: "connection limit 0")
    guard case .connectionSlotUnavailable = postgresError({ _ = try Sessions.sql(limited) }) else {
      throw Unexpected(nil)
    }
  }

  private func cancels(_ server: PostgresServer) throws {
    let cancellation = Cancellation()
    let connection = try Sessions.sql(server.tcpConnection, cancellation: cancellation)
    let other = try Sessions.sql(server.connection)
    let pid = try connection.query("SELECT pg_backend_pid()").scalar
    let state = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int AND query LIKE '%pg_sleep(600)%'"
    try runTogether(
      Cancellation(), label: "cancel",
      [
        { #expect(throws: CancellationError.self) { try connection.query("SELECT pg_sleep(600)") } },
        {
          defer { cancellation.cancel() }
          try Poll.until(.seconds(20), "the query") { try other.query(state, [pid]).scalar == "1" }
        },
      ])
    #expect(!connection.isOpen)
    try Poll.until(.seconds(20), "the query's end") { try other.query(state, [pid]).scalar == "0" }
  }

  private func endsWithServer(_ server: PostgresServer) throws {
    let connection = try Sessions.sql(server.tcpConnection)
    try server.crash()
    guard case .connectionLost = postgresError({ try connection.query("SELECT 1") }) else { throw Unexpected(nil) }
    guard case .connectionLost = postgresError({ try connection.query("SELECT 1") }) else { throw Unexpected(nil) }
    let away = postgresError { _ = try Sessions.sql(server.tcpConnection) }
    guard case .serverAway(_, let reason) = away else { throw Unexpected(away) }
    #expect(reason.contains("Connection refused"))
    let socketAway = postgresError { _ = try Sessions.sql(server.connection) }
    guard case .serverAway = socketAway else { throw Unexpected(socketAway) }
  }

  @Test("to a host that never answers ends with cancellation, or with its time")
  func isNotStuckConnecting() throws {
    try withSilentListener { port in
      let conninfo = "host=127.0.0.1 port=\(port) user=x dbname=x sslmode=disable connect_timeout=2"
      let error = postgresError { _ = try Sessions.sql(conninfo) }
      guard case .serverAway(_, let reason) = error else { throw Unexpected(error) }
      #expect(reason.contains("No answer within 2 s."))
      let cancellation = Cancellation()
      cancellation.cancel()
      #expect(throws: CancellationError.self) { try Sessions.sql(conninfo, cancellation: cancellation) }
    }
  }

  @Test("string that cannot be read is not repeated in the error", arguments: ["password=my secret", "nokey", "x=y"])
  func hidesConnectionString(text: String) {
    let error = postgresError { _ = try Sessions.sql(text) }
    #expect(error == .connectionStringInvalid)
    #expect(error.map { "\(ErrorReport($0))".contains("secret") } == false)
  }

  /// A port that takes connections and says nothing.
  private func withSilentListener(_ body: (UInt16) throws -> Void) throws {
    let port = try FreePort.find()
    let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(bound == 0 && listen(listener, 8) == 0)
    try body(port)
  }
}

/// A result that the test did not expect.
struct Unexpected: Error, CustomStringConvertible {
  var description: String
  init(_ error: (any Error)?) { description = "unexpected: " + (error.map { "\($0)" } ?? "none or another error") }
}
