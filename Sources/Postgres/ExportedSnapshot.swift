public import BackupModel

/// A snapshot that other sessions may take over, for as long as the connection lives.
///
/// - SeeAlso: PostgreSQL documentation, "Snapshot Synchronization Functions".
public final class ExportedSnapshot {
  public let name: String
  /// Nothing that was committed behind it is in the snapshot: of a standby, what it had replayed.
  public let lsn: LSN
  /// The server's clock.
  public let taken: Timestamp
  private let connection: Connection

  /// - Parameters:
  ///   - isSerializable: Waits for a snapshot that no serializable transaction could contradict; not on a standby.
  ///   - tables: Quoted names of tables that are locked against changes of their definition, and against TRUNCATE, before
  ///     the snapshot is taken and until the connection ends.
  ///   - lockTimeout: How long to wait for each of those locks; nil: for ever.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public init(
    _ connection: Connection, isSerializable: Bool, locking tables: [String] = [], lockTimeout: Duration? = nil
  ) throws {
    self.connection = connection
    let level = isSerializable ? "SERIALIZABLE READ ONLY DEFERRABLE" : "REPEATABLE READ READ ONLY"
    _ = try connection.query("BEGIN ISOLATION LEVEL \(level)", while: "take a snapshot of")
    if !tables.isEmpty {
      if let lockTimeout {
        let milliseconds = max(1, Int64(lockTimeout / .milliseconds(1)))
        _ = try connection.query("SET LOCAL lock_timeout = \(milliseconds)", while: "take a snapshot of")
      }
      // LOCK takes no snapshot: what another session did to a table until then is seen by the one that follows.
      let names = tables.map { "ONLY \($0)" }.joined(separator: ", ")
      _ = try connection.query("LOCK TABLE \(names) IN ACCESS SHARE MODE", while: "lock tables of")
    }
    // The first statement takes the snapshot; the position is read behind it.
    let answer = try connection.query(
      """
      SELECT pg_export_snapshot() AS name,
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END AS lsn,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS clock
      """, while: "take a snapshot of")
    guard let name = answer[0, "name"], let lsn = answer[0, "lsn"].flatMap({ try? LSN($0) }),
      let clock = answer[0, "clock"].flatMap({ Int64($0) })
    else { throw connection.protocolViolation("It exported no snapshot.") }
    self.name = name
    self.lsn = lsn
    taken = Timestamp(microseconds: clock)
  }

  /// Whether the role may read the passwords of roles, without which globals have none.
  public func mayReadPasswords() throws -> Bool {
    try connection.query("SELECT has_table_privilege('pg_authid', 'SELECT')", while: "read the rights on").scalar == "t"
  }

  /// The database the connection leads to.
  public func database() throws -> String {
    try connection.query("SELECT current_database()", while: "read the name of").scalar ?? connection.address.database
  }
}
