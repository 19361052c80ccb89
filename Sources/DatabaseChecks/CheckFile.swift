public import BackupModel
public import BlockingWork
internal import DurableFiles
internal import Postgres
import Synchronization

/// An operator's checks: SQL that is run against a database to see whether what should be there is.
///
/// A statement that returns the columns `name` and `value` makes a check of each row, judged by the columns `min`, `max`
/// and `equal` where there are any; `warn` makes a warning of what would be critical, `may_fall` keeps the value from
/// being compared with the last one. Of any other statement the first row is shown as it is. An error is critical: of the
/// server, or raised by `RAISE EXCEPTION`. What `RAISE NOTICE` says is kept.
public struct CheckFile: Sendable, Hashable {
  private let script: SQLScript

  static let longestFile = 1 << 20
  /// Rows of one statement that are looked at.
  static let mostRows = 1000
  /// Results of all statements that are kept: they lie in the run's record.
  static let mostResults = 200
  static let mostNotices = 20
  static let longestText = 500

  /// - Throws: ``ChecksError``.
  public init(readingFrom path: String) throws(ChecksError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try DurableFile.read(path, limit: Int64(Self.longestFile))
    } catch {
      throw .unreadable(path, ErrorReport(error))
    }
    do throws(ChecksError) {
      guard let text = String(validating: bytes, as: UTF8.self) else { throw ChecksError.notText }
      try self.init(text)
    } catch {
      throw .invalid(path, ErrorReport(error))
    }
  }

  /// - Throws: ``ChecksError`` for what is no SQL, or nothing.
  public init(_ text: String) throws(ChecksError) {
    script = try SQLScript(text)
    if script.statements.isEmpty { throw .empty }
  }

  /// Runs all statements, one after another, each in a transaction of its own that only reads.
  ///
  /// - Parameters:
  ///   - connection: What libpq connects with.
  ///   - timeout: A statement that takes longer fails.
  /// - Throws: `PostgresError` where the server cannot be reached, `CancellationError`. What a statement does wrong is a
  ///   result.
  public func run(
    on connection: String, timeout: Duration, cancellation: Cancellation
  ) throws -> [CheckResult] {
    let notices = NoticeList()
    let session = try Connection(
      connection, applicationName: "backupd checks", cancellation: cancellation, observeNotice: { notices.add($0) })
    defer { session.close() }
    // A file that must write may say so itself: SET default_transaction_read_only = off.
    try session.query(
      "SET statement_timeout = \(Int(timeout / .milliseconds(1))); SET default_transaction_read_only = on")
    var results: [CheckResult] = []
    for statement in script.statements {
      results += try run(statement, session, notices)
      guard session.isOpen else { break }
    }
    return Self.bounded(results)
  }

  private func run(
    _ statement: SQLScript.Statement, _ session: Connection, _ notices: NoticeList
  ) throws -> [CheckResult] {
    var results: [CheckResult]
    do {
      results = CheckRows(try session.rows(statement.text, limit: Self.mostRows), line: statement.line).results
    } catch let error as CancellationError {
      throw error
    } catch {
      results = [CheckResult(name: "line \(statement.line)", verdict: .critical, message: Self.text(of: error))]
    }
    let (said, isWarned) = notices.take()
    guard !said.isEmpty else { return results }
    if results.isEmpty { results = [CheckResult(name: "line \(statement.line)")] }
    results[0].notices = said
    if isWarned, results[0].verdict == .ok { results[0].verdict = .warning }
    return results
  }

  private static func text(of error: any Error) -> String {
    if case PostgresError.refused(let message, _, _) = error {
      return short([message.message, message.detail, message.hint].compactMap { $0 }.joined(separator: " / "))
    }
    let report = ErrorReport(error)
    return short([report.summary, report.detail].compactMap { $0 }.joined(separator: ": "))
  }

  static func short(_ text: String) -> String {
    text.count > longestText ? String(text.prefix(longestText - 1)) + "…" : text
  }

  /// Where there are too many, those that are well give way.
  private static func bounded(_ results: [CheckResult]) -> [CheckResult] {
    guard results.count > mostResults else { return results }
    let bad = results.filter { $0.verdict != .ok }
    let kept = Array((bad + results.filter { $0.verdict == .ok }).prefix(mostResults - 1))
    return kept + [
      CheckResult(
        name: "further results", value: "\(results.count - kept.count)", verdict: .warning,
        message: "A run keeps \(mostResults).", mayFall: true)
    ]
  }
}

/// What the server said while a statement ran.
private final class NoticeList: Sendable {
  private let state = Mutex<(texts: [String], isWarned: Bool)>(([], false))

  func add(_ message: ServerMessage) {
    state.withLock { state in
      if message.severity == "WARNING" { state.isWarned = true }
      guard state.texts.count < CheckFile.mostNotices else { return }
      let text = message.severity == "NOTICE" ? message.message : "\(message.severity): \(message.message)"
      state.texts.append(CheckFile.short(text))
    }
  }

  func take() -> (texts: [String], isWarned: Bool) {
    state.withLock { state in
      defer { state = ([], false) }
      return state
    }
  }
}

/// Rows of a statement as checks.
struct CheckRows {
  let results: [CheckResult]

  init(_ rows: BoundedRows, line: Int) {
    let result = rows.result
    var results: [CheckResult]
    if result.columns.contains("name"), result.columns.contains("value") {
      results = result.rows.indices.map { Self.check(result, $0, line) }
      if results.isEmpty {
        results = [CheckResult(name: "line \(line)", verdict: .warning, message: "It returned no row.")]
      }
    } else if let first = result.rows.first {
      let values = zip(result.columns, first).map { result.columns.count == 1 ? $1 ?? "NULL" : "\($0)=\($1 ?? "NULL")" }
      results = [CheckResult(name: "line \(line)", value: CheckFile.short(values.joined(separator: " ")))]
    } else {
      results = []
    }
    if rows.further > 0 {
      results.append(
        CheckResult(
          name: "line \(line)", value: "\(rows.further)", verdict: .warning,
          message: "So many rows were not looked at: it returned more than \(CheckFile.mostRows).", mayFall: true))
    }
    self.results = results
  }

  private static func check(_ result: QueryResult, _ row: Int, _ line: Int) -> CheckResult {
    let isTrue = { (column: String) in ["t", "true"].contains(result[row, column] ?? "") }
    let rule = CheckRule(
      minimum: result[row, "min"], maximum: result[row, "max"], equal: result[row, "equal"], warns: isTrue("warn"))
    let value = result[row, "value"]
    let (verdict, message) = rule.judge(value)
    return CheckResult(
      name: CheckFile.short(result[row, "name"] ?? "line \(line)"), value: value.map(CheckFile.short), verdict: verdict,
      message: message, mayFall: isTrue("may_fall"))
  }
}
