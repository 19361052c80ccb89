internal import CLibPQ

/// One `PGresult`, freed when it goes away.
struct ServerResult: ~Copyable {
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { PQclear(pointer) }

  var status: ExecStatusType { PQresultStatus(pointer) }
  var rowCount: Int { Int(PQntuples(pointer)) }
  var columns: [String] {
    (0..<PQnfields(pointer)).map { PQfname(pointer, $0).map { String(cString: $0) } ?? "" }
  }
  var columnCount: Int { Int(PQnfields(pointer)) }

  /// The raw bytes of a field; nil for NULL and for a field that is not there.
  func bytes(_ row: Int, _ column: Int) -> [UInt8]? {
    guard row < rowCount, column < columnCount, PQgetisnull(pointer, CInt(row), CInt(column)) == 0,
      let value = PQgetvalue(pointer, CInt(row), CInt(column))
    else { return nil }
    let count = Int(PQgetlength(pointer, CInt(row), CInt(column)))
    return Array(UnsafeRawBufferPointer(start: value, count: count))
  }

  func text(_ row: Int, _ column: Int) -> String? {
    bytes(row, column).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The parts of an error or notice.
  var message: ServerMessage { ServerMessage(result: pointer) }
}

extension ServerMessage {
  /// Copies the fields before the next libpq call may free them.
  init(result: OpaquePointer) {
    func field(_ code: Unicode.Scalar) -> String? {
      PQresultErrorField(result, CInt(code.value)).map { String(cString: $0) }
    }
    let whole = PQresultErrorMessage(result).map { String(cString: $0) } ?? ""
    // The codes of postgres_ext.h: V severity never translated, C SQLSTATE, M message, D detail, H hint.
    self.init(
      severity: field("V") ?? "ERROR", sqlState: field("C") ?? "",
      message: field("M") ?? whole.split(whereSeparator: \.isNewline).joined(separator: " "),
      detail: field("D"), hint: field("H"))
  }
}

/// Rows of a query, every value as PostgreSQL prints it.
public struct QueryResult: Sendable, Hashable {
  public var columns: [String]
  /// Values in the order of ``columns``; nil is NULL.
  public var rows: [[String?]]

  public init(columns: [String] = [], rows: [[String?]] = []) {
    self.columns = columns
    self.rows = rows
  }

  /// The value of a named column; nil for NULL, and where there is no such row or column.
  public subscript(row: Int, column: String) -> String? {
    guard rows.indices.contains(row), let index = columns.firstIndex(of: column), index < rows[row].count else {
      return nil
    }
    return rows[row][index]
  }

  /// The value in the first column of the first row.
  public var scalar: String? { rows.first?.first ?? nil }
}

extension QueryResult {
  init(_ result: borrowing ServerResult) {
    columns = result.columns
    rows = []
    rows.reserveCapacity(result.rowCount)
    for row in 0..<result.rowCount {
      var values: [String?] = []
      for column in 0..<result.columnCount { values.append(result.text(row, column)) }
      rows.append(values)
    }
  }
}
