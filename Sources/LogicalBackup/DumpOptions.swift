public import BackupModel
public import Repository

/// What is dumped, and how.
public struct DumpOptions: Sendable, Hashable {
  public enum Content: String, Sendable, Hashable { case all, data, schema }

  /// Nil: the database of the connection.
  public var database: String?
  /// pg_dump's patterns; none is everything.
  public var tables: [String]
  public var excludedTables: [String]
  public var schemas: [String]
  public var content: Content
  /// Rows as INSERT commands.
  public var inserts: Bool
  /// A snapshot that no serializable transaction contradicts.
  public var serializableDeferrable: Bool
  /// How long pg_dump waits for the lock of a table; nil: for ever.
  public var lockTimeout: Duration?
  /// pg_dumps at a time, each with the rows of some of the tables.
  public var parallel: Int

  public init(
    database: String? = nil, tables: [String] = [], excludedTables: [String] = [], schemas: [String] = [],
    content: Content = .all, inserts: Bool = false, serializableDeferrable: Bool = false, lockTimeout: Duration? = nil,
    parallel: Int = 1
  ) {
    self.database = database
    self.tables = tables
    self.excludedTables = excludedTables
    self.schemas = schemas
    self.content = content
    self.inserts = inserts
    self.serializableDeferrable = serializableDeferrable
    self.lockTimeout = lockTimeout
    self.parallel = parallel
  }

  /// Roles and tablespaces belong to a whole database.
  var wantsGlobals: Bool { tables.isEmpty && schemas.isEmpty && content != .data }

  /// How long a pg_dump waits for a lock; nil: for ever. Of several none does: it could be behind somebody who waits for the
  /// locks that the snapshot's session holds until all of them have ended, and keeps everybody else from the table.
  var lockWait: Duration? { lockTimeout ?? (parallel > 1 ? .seconds(60) : nil) }
  /// How long one does that reads rows of tables which the snapshot's session has locked: to wait at all means that.
  var rowLockWait: Duration { min(lockTimeout ?? .seconds(5), .seconds(5)) }

  /// pg_dump's options for what is in the dump.
  var selection: [String] {
    var words = choice
    switch content {
    case .all: break
    case .data: words.append("--data-only")
    case .schema: words.append("--schema-only")
    }
    if inserts { words.append("--inserts") }
    return words
  }

  /// Which tables, none for what of them.
  var choice: [String] {
    tables.map { "--table=\($0)" } + excludedTables.map { "--exclude-table=\($0)" }
      + schemas.map { "--schema=\($0)" }
  }
}

/// The streams of a logical backup.
public enum DumpStream {
  /// What `pg_restore` reads: pg_dump's custom format, not compressed.
  public static let custom = "custom"
  /// Rows of some of the tables alone, in the same format; numbered from 1.
  public static func rows(_ number: Int) -> String { "\(custom)-\(number)" }
  /// What a backup has for `pg_restore`: ``custom`` first, then those of rows in their order.
  public static func archives(of reader: DumpReader) throws -> [String] {
    let names = try reader.streams()
    return [custom] + (1...).lazy.map(rows).prefix { names.contains($0) }
  }
  /// What `psql` reads: the roles and tablespaces of the cluster.
  public static let globals = "globals"
}

/// A dump that could not be taken.
public enum DumpError: OperatorError {
  case notDump(ClusterID, found: Int)
  case unsupportedPassword(ClusterID)
  /// Tables whose rows are not in exactly one of the streams.
  case tablesAstray(ClusterID, [String])

  public var summary: String {
    switch self {
    case .notDump(let cluster, _): "could not use the dump of cluster \"\(cluster)\""
    case .tablesAstray(let cluster, _): "could not dump cluster \"\(cluster)\" in several streams"
    case .unsupportedPassword(let cluster): "cannot dump cluster \"\(cluster)\""
    }
  }
  public var detail: String? {
    switch self {
    case .notDump(_, let found): "pg_dump's output of \(found) bytes does not begin as its custom format does."
    case .tablesAstray(_, let tables):
      "The rows of \(tables.prefix(10).joined(separator: ", "))"
        + (tables.count > 10 ? " and \(tables.count - 10) more tables" : "") + " are not in exactly one of them."
    case .unsupportedPassword: "pg_dump can be given the password of a server, not that of a client certificate's key."
    }
  }
  public var hint: String? {
    switch self {
    case .notDump: "Run \"pg_dump --format=custom\" by hand to see what it writes."
    case .tablesAstray:
      "Tables that were renamed meanwhile explain it; run the job again. Without \"parallel\" there is one stream."
    case .unsupportedPassword: "Use a key without a password that only the daemon's user can read."
    }
  }
}
