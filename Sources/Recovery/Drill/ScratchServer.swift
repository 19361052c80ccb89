internal import BackupModel
internal import BlockingWork
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// PostgreSQL on a restored directory that nobody but the drill can reach, and that reaches nobody.
///
/// Nothing of the original's configuration is read: its own file says nothing at the start, `postgresql.auto.conf` holds the recovery's
/// settings alone, everything else is on the command line, above whatever else might say otherwise.
struct ScratchServer {
  static let port = 5432
  private let process: ChildProcess
  private let dataDirectory: String
  private let logFile: String
  private let backup: BackupID
  /// Whether the kernel keeps it from writing outside the scratch directory, which replaying CREATE TABLESPACE would.
  let isConfined: Bool

  init(
    _ scratch: borrowing ScratchDirectory, program: String, version: Int, options: DrillOptions, backup: BackupID,
    recovery: [RestoreReport.Setting]
  ) throws {
    dataDirectory = scratch.dataDirectory
    logFile = scratch.logFile
    self.backup = backup
    let files = [
      ("postgresql.conf", "# Settings are on the command line.\n"), ("pg_hba.conf", "local all all trust\n"),
      ("pg_ident.conf", "# No maps.\n"),
    ]
    for (name, text) in files { try DurableFile.create("\(scratch.path)/\(name)", with: Array(text.utf8)) }
    let lines = recovery.map { "\($0.name) = \(RecoverySettings.quoted($0.value))\n" }.joined()
    try DurableFile.replace(dataDirectory + "/postgresql.auto.conf", with: Array(lines.utf8))
    _ = try Descriptor(opening: logFile, O_WRONLY | O_CREAT | O_APPEND)
    var arguments = ["-D", dataDirectory]
    let control = try ControlFile(readingFrom: dataDirectory)
    for (name, value) in Self.settings(scratch.path, control, version: version, preloaded: options.preloadedLibraries) {
      arguments += ["-c", "\(name)=\(value)"]
    }
    (process, isConfined) = try Self.spawn(program, arguments, dataDirectory, logFile, writingBelow: scratch.path)
  }

  private static func spawn(
    _ program: String, _ arguments: [String], _ directory: String, _ log: String, writingBelow scratch: String
  ) throws -> (ChildProcess, Bool) {
    do {
      let (process, isConfined) = try ConfinedThread.run(writingBelow: [scratch, "/dev"]) {
        try ChildProcess(program, arguments, as: nil, directory: directory, log: log)
      }
      return (process, isConfined)
    } catch let failure as ConfinementFailure {
      throw FileError("confine a server to", scratch, code: failure.code)
    }
  }

  private static func settings(
    _ path: String, _ control: ControlFile, version: Int, preloaded: String
  ) -> [(String, String)] {
    var settings = [
      ("config_file", path + "/postgresql.conf"), ("data_directory", path + "/data"),
      ("hba_file", path + "/pg_hba.conf"), ("ident_file", path + "/pg_ident.conf"), ("external_pid_file", ""),
      // Reached over a socket in a directory that only this user can enter.
      ("listen_addresses", ""), ("port", "\(port)"), ("unix_socket_directories", path + "/socket"),
      ("unix_socket_permissions", "0700"), ("unix_socket_group", ""), ("ssl", "off"), ("cluster_name", "backupd drill"),
      // No code but PostgreSQL's own, unless replay cannot do without.
      ("shared_preload_libraries", preloaded), ("session_preload_libraries", ""), ("local_preload_libraries", ""),
      ("jit", "off"),
      // It archives nothing, follows nobody, and subscriptions that were restored along stay asleep.
      ("archive_mode", "off"), ("archive_command", "/bin/false"), ("primary_conninfo", ""), ("primary_slot_name", ""),
      ("synchronous_standby_names", ""), ("max_logical_replication_workers", "0"), ("hot_standby", "off"),
      ("autovacuum", "off"), ("restart_after_crash", "off"),
      ("logging_collector", "off"), ("log_destination", "stderr"), ("log_line_prefix", ""), ("lc_messages", "C"),
      // Small; what recovery demands to be as high as on the original comes from the control file.
      ("shared_buffers", "64MB"), ("work_mem", "32MB"), ("huge_pages", "off"), ("shared_memory_type", "mmap"),
      // Files in the data directory, which go with it.
      ("dynamic_shared_memory_type", "mmap"),
      ("max_connections", "\(max(control.maxConnections, 20))"),
      ("max_worker_processes", "\(control.maxWorkerProcesses)"), ("max_wal_senders", "\(control.maxWALSenders)"),
      ("max_prepared_transactions", "\(control.maxPreparedTransactions)"),
      ("max_locks_per_transaction", "\(max(control.maxLocksPerTransaction, 10))"),
    ]
    if version >= 17 { settings += [("event_triggers", "off"), ("sync_replication_slots", "off")] }
    return settings
  }

  /// Returns when the server has applied all WAL up to its target.
  /// - Throws: ``DrillError/serverEnded(_:reason:)``, `CancellationError`.
  func waitUntilReplayed(_ cancellation: Cancellation) throws {
    try wait(cancellation) { try ServerLog(logFile, from: 0).lines.contains { $0.contains("redo done at ") } || isOpen }
  }

  /// Returns when it answers queries.
  func waitUntilOpen(_ cancellation: Cancellation) throws { try wait(cancellation) { isOpen } }

  /// A control file that is being written over reads as damaged; the next look tells.
  private var isOpen: Bool {
    guard let place = Postmaster(dataDirectory), place.pid == process.pid, place.isReady else { return false }
    return (try? ControlFile(readingFrom: dataDirectory))?.state == .inProduction
  }

  private func wait(_ cancellation: Cancellation, until condition: () throws -> Bool) throws {
    while try !condition() {
      if process.ended() != nil { throw DrillError.serverEnded(backup, reason: try reasons()) }
      try cancellation.sleep(.milliseconds(20))
    }
  }

  /// The server's last words, and those of the command that gave it WAL: a missing segment is told by that one.
  private func reasons() throws -> [String] {
    let log = try ServerLog(logFile, from: 0)
    guard let fetch = log.lines.lastIndex(where: { $0.hasPrefix("backupctl: ") }) else { return log.reasons }
    let details = log.lines[(fetch + 1)...].prefix { $0.contains("DETAIL: ") }
    return ([log.lines[fetch]] + details).map(String.init) + log.reasons
  }

  /// Tells the server that what it writes need not be durable any longer.
  func stopSyncing(_ scratch: borrowing ScratchDirectory) throws {
    try DurableFile.replace(scratch.path + "/postgresql.conf", with: Array("fsync = off\n".utf8))
    kill(process.pid, SIGHUP)
  }

  /// A shutdown after which every page is in its file.
  /// - Throws: ``DrillError/serverEnded(_:reason:)``, `CancellationError`.
  func stop(_ cancellation: Cancellation) throws {
    kill(process.pid, SIGINT)
    while true {
      if let status = process.ended() {
        if status == 0 { return }
        throw DrillError.serverEnded(backup, reason: try reasons())
      }
      try cancellation.sleep(.milliseconds(20))
    }
  }

  /// Once the scratch directory's end has ended it.
  func reap() { process.reap() }
}

extension ChildProcess {
  /// Takes note of the end of a process that was told to: no dead one is left to be asked for.
  func reap() {
    let deadline = ContinuousClock.now + .seconds(5)
    while ended() == nil, ContinuousClock.now < deadline { usleep(10_000) }
  }
}
