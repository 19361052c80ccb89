public import BackupModel

/// What a server says of itself. A value the role may not see is nil, never an error.
public struct ServerFacts: Sendable, Hashable {
  public var address: ServerAddress
  /// 150020 for 15.20.
  public var versionNumber: Int
  /// `15.20`, with the packager's words behind it.
  public var versionText: String
  public var systemIdentifier: SystemIdentifier
  /// The timeline WAL is written on, or on a standby received and replayed from.
  public var timeline: TimelineID
  public var walSegmentSize: WALSegmentSize
  /// Bytes of a relation block.
  public var blockSize: Int
  public var dataChecksums: Bool
  public var isInRecovery: Bool
  /// Absolute path on the server.
  public var dataDirectory: String?
  public var configFile: String?
  public var hbaFile: String?
  public var identFile: String?
  /// Files the three above include, as far as the server tells; absolute, sorted.
  public var includedFiles: [String]
  public var walLevel: String
  public var maxWALSenders: Int
  public var freeWALSenders: Int
  public var maxReplicationSlots: Int
  public var freeReplicationSlots: Int
  /// Nil where a slot may keep WAL without limit (`-1`).
  public var maxSlotWALKeepSize: ByteCount?
  public var maxConnections: Int
  public var maxWorkerProcesses: Int
  public var maxPreparedTransactions: Int
  public var maxLocksPerTransaction: Int
  public var walLogHints: Bool
  /// `off`, `on` or `always`.
  public var archiveMode: String
  /// The server's clock when it answered.
  public var clock: Timestamp
  /// The role logged in as.
  public var role: String
  public var isSuperuser: Bool
  /// The REPLICATION attribute, which a superuser has by nature.
  public var hasReplicationAttribute: Bool
  /// May read any file through ``Connection/readServerFile(_:)``.
  public var canReadServerFiles: Bool

  public var majorVersion: Int { versionNumber / 10000 }

  /// Asks the server, in a few queries.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public static func read(from connection: Connection) throws -> ServerFacts {
    let settings = try Settings(connection)
    let state = try Self.state(of: connection)
    func count(_ name: String) -> Int { settings[name].flatMap { Int($0) } ?? 0 }
    // "setting" is in units of "unit", which is MB for this one.
    let keep = settings["max_slot_wal_keep_size"].flatMap { Int64($0) } ?? -1
    guard let system = state[0, "system_identifier"].flatMap({ try? SystemIdentifier($0) }),
      let timeline = state[0, "timeline"].flatMap({ UInt32($0) }),
      let size = UInt64(settings["wal_segment_size"] ?? "").flatMap({ try? WALSegmentSize(bytes: $0) }),
      let clock = state[0, "clock"].flatMap({ Int64($0) })
    else { throw connection.protocolViolation("Its answers lack the system identifier or the timeline.") }
    return ServerFacts(
      address: connection.address, versionNumber: connection.serverVersion,
      versionText: settings["server_version"] ?? "", systemIdentifier: system, timeline: TimelineID(timeline),
      walSegmentSize: size, blockSize: count("block_size"), dataChecksums: settings["data_checksums"] == "on",
      isInRecovery: state[0, "is_in_recovery"] == "t", dataDirectory: settings["data_directory"],
      configFile: settings["config_file"], hbaFile: settings["hba_file"], identFile: settings["ident_file"],
      includedFiles: try Self.includedFiles(connection, settings), walLevel: settings["wal_level"] ?? "",
      maxWALSenders: count("max_wal_senders"),
      freeWALSenders: max(0, count("max_wal_senders") - (state[0, "wal_senders"].flatMap { Int($0) } ?? 0)),
      maxReplicationSlots: count("max_replication_slots"),
      freeReplicationSlots: max(0, count("max_replication_slots") - (state[0, "slots"].flatMap { Int($0) } ?? 0)),
      maxSlotWALKeepSize: keep < 0 ? nil : ByteCount(keep.multipliedReportingOverflow(by: 1 << 20).partialValue),
      maxConnections: count("max_connections"), maxWorkerProcesses: count("max_worker_processes"),
      maxPreparedTransactions: count("max_prepared_transactions"),
      maxLocksPerTransaction: count("max_locks_per_transaction"), walLogHints: settings["wal_log_hints"] == "on",
      archiveMode: settings["archive_mode"] ?? "", clock: Timestamp(microseconds: clock),
      role: state[0, "role"] ?? connection.address.user, isSuperuser: state[0, "is_superuser"] == "t",
      hasReplicationAttribute: state[0, "has_replication"] == "t",
      canReadServerFiles: state[0, "can_read_files"] == "t")
  }

  /// Everything that is not a parameter.
  private static func state(of connection: Connection) throws -> QueryResult {
    // A primary's timeline is in the name of its current segment: the control file learns of a promotion only at the
    // next checkpoint. The counting function shows each WAL sender to everybody, pg_stat_activity does not.
    try connection.query(
      """
      SELECT (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
        pg_is_in_recovery() AS is_in_recovery,
        CASE WHEN pg_is_in_recovery()
          THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()),
            (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
            (SELECT received_tli FROM pg_stat_wal_receiver))
          ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END AS timeline,
        (SELECT count(*) FROM pg_stat_get_wal_senders()) AS wal_senders,
        (SELECT count(*) FROM pg_replication_slots) AS slots,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS clock,
        current_user AS role, rolsuper AS is_superuser, rolsuper OR rolreplication AS has_replication,
        rolsuper OR (pg_has_role(current_user, 'pg_read_server_files', 'USAGE')
          AND has_function_privilege('pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE'))
          AS can_read_files
      FROM pg_roles WHERE rolname = current_user
      """, while: "read the state of")
  }

  private static func includedFiles(_ connection: Connection, _ settings: Settings) throws -> [String] {
    var files = Set<String>()
    // Superusers only, unless granted; the name column of the other two came with version 16.
    var queries = ["SELECT DISTINCT sourcefile FROM pg_file_settings WHERE sourcefile IS NOT NULL"]
    if connection.serverVersion >= 160_000 {
      queries.append("SELECT DISTINCT file_name FROM pg_hba_file_rules WHERE file_name IS NOT NULL")
      queries.append("SELECT DISTINCT file_name FROM pg_ident_file_mappings WHERE file_name IS NOT NULL")
    }
    for query in queries {
      let result = try connection.queryIfPermitted(query, while: "list the configuration files of")
      for row in result?.rows ?? [] { if let name = row[0] { files.insert(name) } }
    }
    for name in ["config_file", "hba_file", "ident_file"] { settings[name].map { _ = files.remove($0) } }
    return files.sorted()
  }
}

/// Parameters the role may see.
private struct Settings {
  private var values: [String: String] = [:]

  init(_ connection: Connection) throws {
    let result = try connection.query(
      """
      SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'wal_segment_size', 'block_size',
        'data_checksums', 'data_directory', 'config_file', 'hba_file', 'ident_file', 'wal_level', 'max_wal_senders',
        'max_replication_slots', 'max_slot_wal_keep_size', 'max_connections', 'max_worker_processes',
        'max_prepared_transactions', 'max_locks_per_transaction', 'wal_log_hints', 'archive_mode')
      """, while: "read the parameters of")
    for row in result.rows where row.count == 2 {
      if let name = row[0], let value = row[1] { values[name] = value }
    }
  }

  subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }
}
