public import BackupModel

/// A backup held open on the server by `pg_backup_start`, for files that are read in place.
///
/// Closing the connection before ``stop()`` ends it on the server's side, too; nothing stays behind.
/// - SeeAlso: PostgreSQL documentation, "Making a Base Backup Using the Low Level API".
public final class BackupSession {
  /// What the server says at the end.
  public struct Stop: Sendable, Hashable {
    /// Where it began.
    public var timeline: TimelineID
    public var position: WALPosition
    /// The content of `backup_label`, which the restored directory must have.
    public var label: [UInt8]
    /// In the label: where a restore begins to replay.
    public var start: LSN
  }

  /// Where replay will begin, as the server answered; the label says so again.
  public let start: LSN
  private let connection: Connection

  /// Begins a backup: waits for a checkpoint, at once or spread.
  /// - Parameter label: Seen in `backup_label`.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public init(_ connection: Connection, label: String, fast: Bool) throws {
    self.connection = connection
    let answer = try connection.query(
      "SELECT pg_backup_start($1, $2::boolean)", [label, fast ? "true" : "false"], while: "begin a backup of"
    ).scalar
    guard let answer, let start = try? LSN(answer) else {
      throw connection.protocolViolation("pg_backup_start gave no position.")
    }
    self.start = start
  }

  /// Ends the backup. Does not wait for the server's archiver: the WAL is proven in our stores.
  /// - Throws: ``PostgresError``, also where a standby was promoted meanwhile; `CancellationError`.
  public func stop() throws -> Stop {
    let result = try connection.query(
      "SELECT lsn, labelfile FROM pg_backup_stop(false)", while: "end the backup of")
    guard let text = result[0, "lsn"], let lsn = try? LSN(text), let label = result[0, "labelfile"],
      let start = Self.line("START WAL LOCATION: ", in: label).flatMap({ try? LSN(String($0.prefix { $0 != " " })) }),
      let timeline = Self.line("START TIMELINE: ", in: label).flatMap({ UInt32($0) })
    else { throw connection.protocolViolation("pg_backup_stop gave no backup label that can be read.") }
    return Stop(
      timeline: TimelineID(timeline),
      position: WALPosition(timeline: try stopTimeline() ?? TimelineID(timeline), lsn: lsn),
      label: Array(label.utf8), start: start)
  }

  /// A standby may have followed another server's promotion; nil on a primary, whose timeline never changes.
  private func stopTimeline() throws -> TimelineID? {
    try connection.query(
      """
      SELECT CASE WHEN pg_is_in_recovery() THEN min_recovery_end_timeline END FROM pg_control_recovery()
      """, while: "read the timeline of"
    ).scalar.flatMap { UInt32($0) }.map { TimelineID($0) }
  }

  private static func line(_ name: String, in label: String) -> Substring? {
    label.split(separator: "\n").first { $0.hasPrefix(name) }.map { $0.dropFirst(name.utf8.count) }
  }
}

extension ServerFacts {
  /// What tells a running server's files from any other's: when it started, and the layout of its catalogs.
  public struct Identity: Sendable, Hashable {
    /// Seconds since 1970, as in the third line of `postmaster.pid`.
    public var startedSeconds: Int64
    /// `PG_15_202209061` is what a tablespace holds for this server.
    public var tablespaceDirectory: String
    /// Whether the role may call `pg_backup_start` and `pg_backup_stop`.
    public var mayBackUp: Bool
  }

  /// - Throws: ``PostgresError``, `CancellationError`.
  public static func identity(from connection: Connection) throws -> Identity {
    let result = try connection.query(
      """
      SELECT extract(epoch FROM pg_postmaster_start_time())::bigint AS started,
        (SELECT catalog_version_no FROM pg_control_system()) AS catalog,
        has_function_privilege('pg_backup_start(text, boolean)', 'EXECUTE')
          AND has_function_privilege('pg_backup_stop(boolean)', 'EXECUTE') AS may_back_up
      """, while: "read the identity of")
    guard let started = result[0, "started"].flatMap({ Int64($0) }), let catalog = result[0, "catalog"] else {
      throw connection.protocolViolation("It does not say when it started.")
    }
    return Identity(
      startedSeconds: started, tablespaceDirectory: "PG_\(connection.serverVersion / 10000)_\(catalog)",
      mayBackUp: result[0, "may_back_up"] == "t")
  }
}
