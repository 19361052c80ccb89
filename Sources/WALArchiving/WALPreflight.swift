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
    let names: String
    do {
      let connection = try Connection(options.connection, applicationName: options.slot, cancellation: cancellation)
      defer { connection.close() }
      facts = try ServerFacts.read(from: connection)
      slots = try connection.query(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1", [options.slot]
      ).rows.count
      names = try connection.query("SHOW synchronous_standby_names", []).scalar ?? ""
    } catch is PostgresError {
      // The replication connection comes next and says what is wrong with the server; a role without a database to log
      // in to is all right.
      return []
    }
    let preflight = Preflight.walStreaming(facts, slot: slots > 0 ? .present : .missing)
    try preflight.check()
    return preflight.warnings + synchronousWarning(options, names)
  }

  /// The server's commits wait only for those it names.
  private static func synchronousWarning(_ options: WALArchiver.Options, _ names: String) -> [ErrorReport] {
    guard options.isSynchronous else { return [] }
    let words = names.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "*") }.map(String.init)
    if words.contains(options.slot) || words.contains("*") { return [] }
    return [
      ErrorReport(
        summary: "commits of cluster \"\(options.cluster)\" do not wait for backupd",
        detail: "The job is synchronous, and the server's synchronous_standby_names is \"\(names)\".",
        hint:
          "Run ALTER SYSTEM SET synchronous_standby_names = '\(options.slot)'; SELECT pg_reload_conf(). Commits then wait for as long as backupd is away: name a standby beside it, as in 'ANY 1 (\(options.slot), standby)', where they must not."
      )
    ]
  }
}
