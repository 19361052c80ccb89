internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Postgres

#if canImport(Glibc)
  import Glibc
#endif

/// Foresees when the landing directory's disk and the server's are full.
final class BacklogWatch: Sendable {
  private let options: WALArchiver.Options
  private let space: LandingSpace
  private let state: ReceiverState
  private let observe: @Sendable (WALEvent) -> Void

  init(
    _ options: WALArchiver.Options, space: LandingSpace, state: ReceiverState,
    observe: @escaping @Sendable (WALEvent) -> Void
  ) {
    self.options = options
    self.space = space
    self.state = state
    self.observe = observe
  }

  /// Looks again and again until cancelled.
  func run(_ cancellation: Cancellation) throws {
    var landing = SpaceForecast()
    var server = SpaceForecast()
    let begin = ContinuousClock.now
    // The first look comes soon: whoever starts the daemon asks.
    var pause = min(options.watchInterval, .seconds(2))
    var last: (received: LSN, at: Duration)?
    while true {
      try cancellation.sleep(pause)
      pause = options.watchInterval
      let now = ContinuousClock.now - begin
      let received = state.look().received
      if let received, let last, received >= last.received {
        let rate = Double(received - last.received) / (now - last.at).secondsValue
        state.change { $0.bytesPerSecond = rate }
      }
      last = received.map { ($0, now) }
      observe(.landingForecast(landing.timeLeft(free: try space.free(), at: now)))
      // Whether the server answers at all is for the receiver to tell.
      guard options.streams, let answer = try? ServerDisk.ask(options, cancellation) else { continue }
      state.change {
        $0.commitsWait = answer.commitsWait
        $0.isServerHere = answer.isHere
        $0.losesNothing = answer.commitsWait.map { $0 && !answer.isHere }
      }
      let left = answer.backlog.safe ?? ServerDisk.free(options)
      observe(.serverForecast(left.flatMap { server.timeLeft(free: $0, at: now) }, answer.backlog))
    }
  }
}

/// What the server's disk can still take.
enum ServerDisk {
  /// Below it a server's disk is as good as full: the next checkpoint may need as much.
  private static let floor: Int64 = 512 << 20

  struct Answer {
    var backlog: SlotBacklog
    /// Nil where the job is not synchronous, or the role may not see it.
    var commitsWait: Bool?
    /// Whether the server is on this host.
    var isHere: Bool
  }

  /// - Throws: `PostgresError`.
  static func ask(_ options: WALArchiver.Options, _ cancellation: Cancellation) throws -> Answer {
    let connection = try Connection(options.connection, applicationName: options.slot, cancellation: cancellation)
    defer { connection.close() }
    // "quorum" is not enough: another standby may have answered for it.
    let row = try connection.query(
      """
      SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
          ELSE pg_current_wal_lsn() END, restart_lsn)::bigint AS retained, safe_wal_size,
          (SELECT sync_state FROM pg_stat_replication WHERE pid = active_pid) AS state,
          coalesce(inet_client_addr() = inet_server_addr(), true) AS here
        FROM pg_replication_slots WHERE slot_name = $1
      """, [options.slot])
    return Answer(
      backlog: SlotBacklog(
        retained: row[0, "retained"].flatMap { UInt64($0) } ?? 0, safe: row[0, "safe_wal_size"].flatMap { Int64($0) }),
      commitsWait: options.isSynchronous ? row[0, "state"].map { $0 == "sync" } : nil, isHere: row[0, "here"] != "f")
  }

  /// Bytes above the floor on the disk of `pg_wal`; nil where that is not on this host, or not known.
  static func free(_ options: WALArchiver.Options) -> Int64? {
    guard let directory = options.serverDirectory else { return nil }
    var disk = statvfs()
    guard statvfs(directory + "/pg_wal", &disk) == 0 else { return nil }
    return Int64(disk.f_bavail) * Int64(disk.f_frsize) - floor
  }

  /// Why the server must not keep more WAL for us; nil where it can.
  static func endangered(_ options: WALArchiver.Options, _ cancellation: Cancellation) -> String? {
    guard let free = free(options), free <= 0 else { return nil }
    return
      "The landing directory was full and the disk of \"\(options.serverDirectory ?? "")/pg_wal\" had less than \(ByteCount(UInt64(floor))) left, so the slot was dropped, as on-full: drop-slot says."
  }
}

/// The slot is to be dropped.
struct SlotAbandoned: Error { var reason: String }
