extension PostgresError {
  public var hint: String? {
    switch self {
    case .connectionStringInvalid:
      "Write it as \"host=… port=… user=… dbname=…\"; quote values with spaces as 'like this'."
    case .serverAway(let server, _):
      "Check that it runs: pg_isready -h \(server.host) -p \(server.port). "
        + "Then check listen_addresses, and firewalls between the hosts."
    case .serverNotReady: "Wait until it accepts connections; its log says what it is doing."
    case .authenticationFailed:
      "Check the password in the connection string or the password file (passfile=…), "
        + "and the method pg_hba.conf demands."
    case .notAdmitted(let server, .sql, _):
      "Add a line to pg_hba.conf such as \"host \(server.database) \(server.user) ADDRESS scram-sha-256\", "
        + "then run: SELECT pg_reload_conf();"
    case .notAdmitted(let server, .replication, _):
      "Add a line to pg_hba.conf such as \"host replication \(server.user) ADDRESS scram-sha-256\", "
        + "then run: SELECT pg_reload_conf();"
    case .databaseMissing: "Name an existing one in the connection string, such as dbname=postgres."
    case .replicationAttributeMissing(let role, _):
      "Run as a superuser: ALTER ROLE \(LibPQ.quoteIdentifier(role)) REPLICATION;"
    case .walSenderUnavailable:
      "See who uses them: SELECT * FROM pg_stat_replication; or raise the limit and restart the server: "
        + "ALTER SYSTEM SET max_wal_senders = 10;"
    case .connectionSlotUnavailable: "See who is connected: SELECT * FROM pg_stat_activity; or raise max_connections."
    case .versionTooOld: "Upgrade the server."
    case .blockSizeUnsupported: nil
    case .walLevelTooLow:
      "Run \"ALTER SYSTEM SET wal_level = 'replica';\" (and max_wal_senders above 0), then restart the server."
    case .slotUnavailable:
      "See the slots: SELECT * FROM pg_replication_slots; drop one nobody needs, or raise the limit and restart the "
        + "server: ALTER SYSTEM SET max_replication_slots = 10;"
    case .slotNameInvalid: nil
    case .slotMissing: "It is created anew when streaming starts; WAL from before that may be missing."
    case .slotExists: "Give another slot name, or see who made it: SELECT * FROM pg_replication_slots;"
    case .slotInUse: "See who uses it: SELECT * FROM pg_stat_replication; two receivers cannot share a slot."
    case .slotInvalidated:
      "Raise max_slot_wal_keep_size or free space in pg_wal; the slot has to be created anew and a new base backup taken."
    case .walRemoved: "Take a new base backup. A replication slot or a larger wal_keep_size keeps WAL for longer."
    case .refused(let message, _, _): message.hint
    case .connectionLost:
      "The server's log says whether it ended the connection; otherwise look at the network between."
    case .serverShutDown: "Streaming goes on when the server is back."
    case .protocolViolation: "Check that the port belongs to PostgreSQL 15 or later and not to a pooler."
    }
  }

  /// True where trying again later, with nothing changed by hand, may well succeed.
  public var isTransient: Bool {
    switch self {
    case .serverAway, .serverNotReady, .connectionLost, .serverShutDown, .connectionSlotUnavailable,
      .walSenderUnavailable, .slotInUse:
      true
    case .refused(let message, _, _): ["40", "53", "57", "58"].contains(String(message.sqlState.prefix(2)))
    default: false
    }
  }
}
