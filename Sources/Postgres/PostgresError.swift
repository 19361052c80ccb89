public import BackupModel

/// Where a connection leads, for messages. Never holds a password.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
  /// Host name, address or socket directory.
  public var host: String
  public var port: String
  public var user: String
  public var database: String

  public init(host: String, port: String, user: String, database: String) {
    self.host = host
    self.port = port
    self.user = user
    self.database = database
  }
  /// Whether it is reached by a socket in the file system: then its files are on this host.
  public var isLocal: Bool { host.isEmpty || host.hasPrefix("/") }
  /// `db1.example.com:5432`.
  public var description: String { "\(host.isEmpty ? "local socket" : host):\(port)" }
}

/// What the server said, in its own parts.
public struct ServerMessage: Sendable, Hashable {
  /// `ERROR`, `FATAL`, `WARNING`, `NOTICE`; never translated.
  public var severity: String
  /// Five characters; empty where libpq itself speaks.
  public var sqlState: String
  public var message: String
  public var detail: String?
  public var hint: String?

  public init(severity: String, sqlState: String, message: String, detail: String? = nil, hint: String? = nil) {
    self.severity = severity
    self.sqlState = sqlState
    self.message = message
    self.detail = detail
    self.hint = hint
  }

  /// Message and detail as one text for an error's detail.
  var facts: String {
    let state = sqlState.isEmpty ? "" : " (SQLSTATE \(sqlState))"
    return "The server says: \(message)\(state)." + (detail.map { " \($0)" } ?? "")
  }
}

/// What can go wrong between us and a PostgreSQL server.
public enum PostgresError: OperatorError, Hashable {
  case connectionStringInvalid
  /// Refused, no route, unknown name, no answer in time.
  case serverAway(ServerAddress, reason: String)
  /// It answers, but is starting, stopping or recovering.
  case serverNotReady(ServerAddress, reason: String)
  case authenticationFailed(ServerAddress, reason: String)
  /// No line of `pg_hba.conf` lets us in, or the role does not exist or may not log in.
  case notAdmitted(ServerAddress, Connection.Purpose, reason: String)
  case databaseMissing(ServerAddress)
  case replicationAttributeMissing(role: String, ServerAddress)
  case walSenderUnavailable(ServerAddress, reason: String)
  case connectionSlotUnavailable(ServerAddress, reason: String)
  case versionTooOld(ServerAddress, version: String)
  case blockSizeUnsupported(ServerAddress, bytes: Int)
  case walLevelTooLow(ServerAddress, level: String)
  case slotUnavailable(ServerAddress, reason: String)
  case slotNameInvalid(String)
  case slotMissing(String, ServerAddress)
  case slotExists(String, ServerAddress)
  case slotInUse(String, ServerAddress, reason: String)
  /// The slot lost WAL it had promised to keep.
  case slotInvalidated(String, ServerAddress, reason: String)
  /// The server no longer has WAL that was asked for.
  case walRemoved(ServerAddress, reason: String)
  /// `action` completes "could not …", up to the server's name.
  case refused(ServerMessage, while: String, ServerAddress)
  case connectionLost(ServerAddress, while: String, reason: String)
  /// The server shut down in good order in the middle of a stream.
  case serverShutDown(ServerAddress)
  /// The server sent what the protocol does not allow.
  case protocolViolation(String, ServerAddress)

  public var summary: String {
    switch self {
    case .connectionStringInvalid: "cannot read the connection string"
    case .serverAway(let server, _): "could not connect to server \"\(server)\""
    case .serverNotReady(let server, _): "could not connect to server \"\(server)\" yet"
    case .authenticationFailed(let server, _): "could not log in to server \"\(server)\" as \"\(server.user)\""
    case .notAdmitted(let server, .sql, _):
      "could not log in to database \"\(server.database)\" on server \"\(server)\" as \"\(server.user)\""
    case .notAdmitted(let server, .replication, _):
      "could not open a replication connection to server \"\(server)\" as \"\(server.user)\""
    case .databaseMissing(let server): "cannot find database \"\(server.database)\" on server \"\(server)\""
    case .replicationAttributeMissing(let role, let server):
      "cannot open a replication connection to server \"\(server)\" as \"\(role)\""
    case .walSenderUnavailable(let server, _): "could not get a WAL sender on server \"\(server)\""
    case .connectionSlotUnavailable(let server, _): "could not get a connection to server \"\(server)\""
    case .versionTooOld(let server, _): "cannot work with the version of server \"\(server)\""
    case .blockSizeUnsupported(let server, _): "cannot work with the block size of server \"\(server)\""
    case .walLevelTooLow(let server, _): "cannot take backups or WAL from server \"\(server)\""
    case .slotUnavailable(let server, _): "could not create a replication slot on server \"\(server)\""
    case .slotNameInvalid(let name): "\"\(name.prefix(80))\" is not a valid replication slot name"
    case .slotMissing(let name, let server): "could not find replication slot \"\(name)\" on server \"\(server)\""
    case .slotExists(let name, let server): "cannot create replication slot \"\(name)\" on server \"\(server)\" again"
    case .slotInUse(let name, let server, _): "could not use replication slot \"\(name)\" on server \"\(server)\""
    case .slotInvalidated(let name, let server, _):
      "cannot stream from replication slot \"\(name)\" on server \"\(server)\" any more"
    case .walRemoved(let server, _): "cannot stream WAL that server \"\(server)\" has removed"
    case .refused(_, let action, let server): "could not \(action) server \"\(server)\""
    case .connectionLost(let server, let action, _): "could not \(action) server \"\(server)\": the connection was lost"
    case .serverShutDown(let server): "could not stream WAL from server \"\(server)\" any longer"
    case .protocolViolation(_, let server): "could not understand server \"\(server)\""
    }
  }

  public var detail: String? {
    switch self {
    // libpq's own message may quote a piece of a password that has a space in it, so it is not shown.
    case .connectionStringInvalid: "It is neither \"key=value …\" nor a postgresql:// address that libpq accepts."
    case .serverAway(_, let reason), .serverNotReady(_, let reason), .authenticationFailed(_, let reason),
      .notAdmitted(_, _, let reason), .walSenderUnavailable(_, let reason), .connectionSlotUnavailable(_, let reason),
      .slotUnavailable(_, let reason), .slotInUse(_, _, let reason), .slotInvalidated(_, _, let reason),
      .walRemoved(_, let reason), .connectionLost(_, _, let reason), .protocolViolation(let reason, _):
      reason
    case .databaseMissing: nil
    case .replicationAttributeMissing(let role, _): "Role \"\(role)\" lacks the REPLICATION attribute."
    case .versionTooOld(_, let version): "It runs PostgreSQL \(version); 15 is the oldest supported."
    case .blockSizeUnsupported(_, let bytes): "It was built with blocks of \(bytes) bytes; only 8192 are supported."
    case .walLevelTooLow(_, let level): "Its wal_level is \"\(level)\"; \"replica\" or \"logical\" is needed."
    case .slotNameInvalid: "A name has 1 to 63 lower-case letters, digits and underscores."
    case .slotMissing: "It was never created, or somebody dropped it."
    case .slotExists: "A slot of that name is there already."
    case .refused(let message, _, _): message.facts
    case .serverShutDown: "The server is shutting down."
    }
  }
}
