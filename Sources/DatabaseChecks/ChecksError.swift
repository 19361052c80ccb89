public import BackupModel

/// A file of checks cannot be used.
public enum ChecksError: OperatorError, Hashable {
  case unreadable(String, ErrorReport)
  case invalid(String, ErrorReport)
  case notClosed(String, line: Int)
  case commandOfPsql(line: Int)
  case tooLarge(bytes: Int, limit: Int)
  case notText
  case empty

  public var summary: String {
    switch self {
    case .unreadable(let path, _): "could not read the checks in \"\(path)\""
    case .invalid(let path, _): "cannot use the checks in \"\(path)\""
    case .notClosed(let what, let line): "\(what) that begins in line \(line) is not closed"
    case .commandOfPsql(let line): "line \(line) is a command of psql"
    case .tooLarge(let bytes, let limit): "it has \(ByteCount(bytes)), more than \(ByteCount(limit))"
    case .notText: "it is not UTF-8 text"
    case .empty: "it holds no statement"
    }
  }
  public var detail: String? {
    switch self {
    case .unreadable(_, let cause): cause.detail
    case .invalid(_, let cause): [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ". ") + "."
    case .commandOfPsql: "Only SQL goes to the server"
    case .notClosed, .tooLarge, .notText, .empty: nil
    }
  }
  public var hint: String? {
    switch self {
    case .unreadable(_, let cause): cause.hint
    default: "See docs/operations/drills.md for what a file of checks may hold."
    }
  }
}
