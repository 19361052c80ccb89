public import BackupModel

/// A store did not do what it was asked.
public enum StorageError: OperatorError {
  /// Whether asking again can help.
  public enum Retry: Sendable { case mayHelp, useless }

  case missing(ObjectName, in: String)
  case alreadyExists(ObjectName, in: String)
  /// The object ends before the bytes asked for.
  case truncated(ObjectName, in: String, expected: Int64, found: Int64)
  case failed(String, ObjectName?, in: String, cause: ErrorReport, retry: Retry)

  public var summary: String {
    switch self {
    case .missing(let name, let store): "could not find \"\(name)\" in store \(store)"
    case .alreadyExists(let name, let store): "could not write \"\(name)\" to store \(store)"
    case .truncated(let name, let store, _, _): "could not read \"\(name)\" from store \(store)"
    case .failed(let action, let name?, let store, _, _): "could not \(action) \"\(name)\" in store \(store)"
    case .failed(let action, nil, let store, _, _): "could not \(action) store \(store)"
    }
  }
  public var detail: String? {
    switch self {
    case .missing: nil
    case .alreadyExists: "An object of that name is there already, and nothing is ever overwritten."
    case .truncated(_, _, let expected, let found): "\(expected) bytes were expected; \(found) are there."
    case .failed(_, _, _, let cause, _): [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ")
    }
  }
  public var hint: String? {
    switch self {
    case .failed(_, _, _, let cause, _): cause.hint ?? "Check that the store is there: mounted, reachable, not moved."
    default: nil
    }
  }
  public var isMissing: Bool {
    if case .missing = self { true } else { false }
  }
  public var retryMayHelp: Bool {
    if case .failed(_, _, _, _, .mayHelp) = self { true } else { false }
  }
}
