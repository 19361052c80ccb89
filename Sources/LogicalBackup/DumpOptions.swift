public import BackupModel

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

  public init(
    database: String? = nil, tables: [String] = [], excludedTables: [String] = [], schemas: [String] = [],
    content: Content = .all, inserts: Bool = false, serializableDeferrable: Bool = false, lockTimeout: Duration? = nil
  ) {
    self.database = database
    self.tables = tables
    self.excludedTables = excludedTables
    self.schemas = schemas
    self.content = content
    self.inserts = inserts
    self.serializableDeferrable = serializableDeferrable
    self.lockTimeout = lockTimeout
  }

  /// Roles and tablespaces belong to a whole database.
  var wantsGlobals: Bool { tables.isEmpty && schemas.isEmpty && content != .data }

  /// pg_dump's options for what is in the dump.
  var selection: [String] {
    var words = tables.map { "--table=\($0)" } + excludedTables.map { "--exclude-table=\($0)" }
    words += schemas.map { "--schema=\($0)" }
    switch content {
    case .all: break
    case .data: words.append("--data-only")
    case .schema: words.append("--schema-only")
    }
    if inserts { words.append("--inserts") }
    return words
  }
}

/// The streams of a logical backup.
public enum DumpStream {
  /// What `pg_restore` reads: pg_dump's custom format, not compressed.
  public static let custom = "custom"
  /// What `psql` reads: the roles and tablespaces of the cluster.
  public static let globals = "globals"
}

/// A dump that could not be taken.
public enum DumpError: OperatorError {
  case notDump(ClusterID, found: Int)
  case unsupportedPassword(ClusterID)

  public var summary: String {
    switch self {
    case .notDump(let cluster, _): "could not use the dump of cluster \"\(cluster)\""
    case .unsupportedPassword(let cluster): "cannot dump cluster \"\(cluster)\""
    }
  }
  public var detail: String? {
    switch self {
    case .notDump(_, let found): "pg_dump's output of \(found) bytes does not begin as its custom format does."
    case .unsupportedPassword: "pg_dump can be given the password of a server, not that of a client certificate's key."
    }
  }
  public var hint: String? {
    switch self {
    case .notDump: "Run \"pg_dump --format=custom\" by hand to see what it writes."
    case .unsupportedPassword: "Use a key without a password that only the daemon's user can read."
    }
  }
}
