internal import BackupModel
internal import CLibPQ

/// Rows of a statement of which nobody knows how many there are.
public struct BoundedRows: Sendable, Hashable {
  public var result: QueryResult
  /// Read away and not kept.
  public var further: Int
}

extension Connection {
  /// Runs one statement and keeps its first rows: memory is bounded however many there are.
  ///
  /// - Parameter limit: Rows that are kept. The others are read away, as long as the server's `statement_timeout` lets it
  ///   send them.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public func rows(_ sql: String, limit: Int, while action: String = "query") throws -> BoundedRows {
    try send(sql, [], while: action)
    let handle = try openHandle(while: action)
    guard PQsetSingleRowMode(handle) == 1 else { throw protocolViolation("It takes no single-row mode.") }
    var kept = BoundedRows(result: QueryResult(), further: 0)
    while let result = try nextResult(while: action) {
      switch result.status {
      case PGRES_SINGLE_TUPLE:
        if kept.result.rows.count >= limit {
          kept.further += 1
        } else {
          let row = QueryResult(result)
          kept.result.columns = row.columns
          kept.result.rows += row.rows
        }
      case PGRES_TUPLES_OK:
        // The end of the rows, which also tells the columns where there was none.
        if kept.result.columns.isEmpty { kept.result.columns = QueryResult(result).columns }
      case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
      case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
        throw protocolViolation("It began a COPY where none was asked for.")
      default: throw failure(of: result, while: action)
      }
    }
    return kept
  }
}

/// Who logs in and where, of a connection string: what is needed to connect to a copy of the server.
public struct LoginNames: Sendable, Hashable {
  /// Nil where the string leaves it to libpq.
  public var user: String?
  public var database: String?

  /// - Throws: ``PostgresError/connectionStringInvalid``.
  public init(_ conninfo: String) throws(PostgresError) {
    let options = try ConnectOptions(conninfo, purpose: .sql, applicationName: "backupd")
    user = options.values["user"]
    database = options.values["dbname"]
  }
}
