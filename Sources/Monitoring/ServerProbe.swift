internal import BackupModel
internal import BlockingWork
internal import Postgres

/// Asks a server what the rules need to know, over a connection of its own: that it takes one is what matters most.
enum ServerProbe {
  /// - Throws: `PostgresError`, `CancellationError`.
  static func ask(_ cluster: MonitorPlan.Cluster, _ cancellation: Cancellation) throws -> ServerState {
    let connection = try Connection(
      cluster.connection.revealText(), applicationName: "backupd monitor", cancellation: cancellation)
    defer { connection.close() }
    let before = Timestamp.now()
    let clock = try connection.serverTime()
    let after = Timestamp.now()
    // The answer was made between question and arrival.
    var state = ServerState(clock: clock, clockAhead: (before - clock + (after - clock)) / 2)
    let row = try connection.query(facts, while: "ask for the state of")
    state.lsn = row[0, "lsn"].flatMap { try? LSN($0) }
    state.segmentBytes = row[0, "segment_bytes"].flatMap { Int64($0) } ?? state.segmentBytes
    let limit = row[0, "slot_limit"].flatMap { Int64($0) } ?? -1
    state.slotLimitBytes = limit < 0 ? nil : limit << 20
    if let slot = cluster.slot { state.slot = try Self.slot(slot, connection) }
    let mode = row[0, "archive_mode"] ?? "off"
    // A standby archives only what it is told to "always".
    if mode == "always" || (mode == "on" && row[0, "is_in_recovery"] != "t") {
      state.archiver = try archiver(connection, mayList: row[0, "may_list"] == "t")
    }
    return state
  }

  private static let facts = """
    SELECT pg_is_in_recovery() AS is_in_recovery,
      CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn,
      (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes,
      (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS slot_limit,
      current_setting('archive_mode') AS archive_mode,
      has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE') AS may_list
    """

  private static func slot(_ name: String, _ connection: Connection) throws -> ServerState.Slot? {
    let row = try connection.query(
      """
      SELECT active, wal_status, safe_wal_size,
        pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
          restart_lsn)::bigint AS retained
      FROM pg_replication_slots WHERE slot_name = $1
      """, [name], while: "ask for the replication slot of")
    guard !row.rows.isEmpty else { return nil }
    return ServerState.Slot(
      isActive: row[0, "active"] == "t", status: row[0, "wal_status"] ?? "reserved",
      retainedBytes: row[0, "retained"].flatMap { Int64($0) } ?? 0,
      safeBytes: row[0, "safe_wal_size"].flatMap { Int64($0) })
  }

  private static func archiver(_ connection: Connection, mayList: Bool) throws -> ServerState.Archiver {
    func time(_ column: String) -> String { "(extract(epoch FROM \(column)) * 1000000)::bigint" }
    let row = try connection.query(
      """
      SELECT failed_count, last_failed_wal, \(time("last_failed_time")) AS failed,
        \(time("last_archived_time")) AS archived FROM pg_stat_archiver
      """, while: "ask for the archiver of")
    func moment(_ text: String?) -> Timestamp? { text.flatMap { Int64($0) }.map { Timestamp(microseconds: $0) } }
    var archiver = ServerState.Archiver(
      failedCount: row[0, "failed_count"].flatMap { Int64($0) } ?? 0, lastFailedSegment: row[0, "last_failed_wal"],
      lastFailed: moment(row[0, "failed"]), lastArchived: moment(row[0, "archived"]))
    guard mayList else { return archiver }
    let files = try connection.query(
      """
      SELECT count(*) AS count, \(time("min(modification)")) AS oldest
      FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
      """, while: "count the WAL that waits on")
    archiver.readyFiles = files[0, "count"].flatMap { Int($0) } ?? 0
    archiver.oldestReady = moment(files[0, "oldest"])
    return archiver
  }

  /// Whether the server says itself that it will be there soon.
  static func isTransient(_ error: any Error) -> Bool {
    if case PostgresError.serverNotReady = error { true } else { false }
  }
}
