internal import BackupModel
internal import DurableFiles

/// Configuration for a data directory that has none, as Debian's: enough to recover and to look at the data.
///
/// Values that recovery demands to be as high as on the original come from the control file; the server listens on a
/// socket in its own data directory, which nobody but its user can enter.
struct MinimalConfiguration {
  let control: ControlFile
  let directory: String
  let port: UInt16

  /// A unix socket's path, its port included, has room for this many bytes.
  /// - SeeAlso: unix(7), `sun_path`.
  static let longestSocketPath = 107

  /// - Returns: The paths written.
  func write(for ownership: Ownership) throws -> [String] {
    let socket = "\(directory)/.s.PGSQL.\(port)"
    let place = socket.utf8.count <= Self.longestSocketPath ? directory : "/tmp"
    // A socket elsewhere can be reached by everybody, so there the system's word for who calls is asked for.
    let method = place == directory ? "trust" : "peer"
    let files = [
      ("postgresql.conf", settings(socketDirectory: place)),
      ("pg_hba.conf", "local all all \(method)\n"),
      ("pg_ident.conf", "# No maps.\n"),
    ]
    var written: [String] = []
    for (name, content) in files where !DurableFile.exists(directory + "/" + name) {
      let path = directory + "/" + name
      try DurableFile.create(path, with: Array(content.utf8))
      try ownership.give(path)
      written.append(path)
    }
    return written
  }

  private func settings(socketDirectory: String) -> String {
    let values = [
      ("listen_addresses", ""), ("port", "\(port)"), ("unix_socket_directories", socketDirectory),
      ("max_connections", "\(max(control.maxConnections, 10))"),
      ("max_worker_processes", "\(control.maxWorkerProcesses)"), ("max_wal_senders", "\(control.maxWALSenders)"),
      ("max_prepared_transactions", "\(control.maxPreparedTransactions)"),
      ("max_locks_per_transaction", "\(max(control.maxLocksPerTransaction, 10))"),
    ]
    let lines = values.map { "\($0.0) = \(RecoverySettings.quoted($0.1))" }
    return (["# Written by \"backupctl restore --start\": the backup holds no configuration."] + lines)
      .joined(separator: "\n") + "\n"
  }
}
