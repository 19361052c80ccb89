internal import BackupModel
internal import BlockingWork
internal import Postgres

/// Looks at the server before WAL is streamed from it the first time.
enum WALPreflight {
  /// - Returns: What works but deserves a look: nothing where the role may stream but not log in for SQL.
  /// - Throws: The first thing that makes streaming impossible; `CancellationError`.
  static func check(_ options: WALArchiver.Options, _ cancellation: Cancellation) throws -> [ErrorReport] {
    let facts: ServerFacts
    let slots: Int
    do {
      let connection = try Connection(options.connection, applicationName: options.slot, cancellation: cancellation)
      defer { connection.close() }
      facts = try ServerFacts.read(from: connection)
      slots = try connection.query(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1", [options.slot]
      ).rows.count
    } catch is PostgresError {
      // The replication connection comes next and says what is wrong with the server; a role without a database to log
      // in to is all right.
      return []
    }
    let preflight = Preflight.walStreaming(facts, slot: slots > 0 ? .present : .missing)
    try preflight.check()
    return preflight.warnings
  }
}
