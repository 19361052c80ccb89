internal import CLibPQ

/// Whether a server takes connections, asked without logging in.
/// - SeeAlso: libpq's manual, `PQpingParams`.
public enum ServerPing: Sendable, Hashable {
  case accepting
  /// It starts up, shuts down or recovers.
  case rejecting
  case silent

  /// Blocks for as long as the connection string's `connect_timeout` says, 10 s where it does not.
  /// - Throws: ``PostgresError/connectionStringInvalid``.
  public static func ask(_ conninfo: String) throws(PostgresError) -> ServerPing {
    let options = try ConnectOptions(conninfo, purpose: .sql, applicationName: "backupd")
    return switch options.withCArrays({ PQpingParams($0, $1, 0) }) {
    case PQPING_OK: .accepting
    case PQPING_REJECT: .rejecting
    case PQPING_NO_RESPONSE: .silent
    default: throw .connectionStringInvalid
    }
  }

  /// For messages.
  public var sentence: String {
    switch self {
    case .accepting: "It takes connections."
    case .rejecting: "It answers, and takes none: it starts up, shuts down or recovers."
    case .silent: "Nothing answers at its address."
    }
  }
}
