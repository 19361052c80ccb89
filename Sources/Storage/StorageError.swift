public import BackupModel

/// A store did not do what it was asked.
public enum StorageError: OperatorError {
  /// Whether asking again can help.
  public enum Retry: Sendable { case mayHelp, useless }

  case missing(ObjectName, in: String)
  case alreadyExists(ObjectName, in: String)
  /// The object ends before the bytes asked for.
  case truncated(ObjectName, in: String, expected: Int64, found: Int64)
  /// It is there, and lies in a class that has to be thawed before it can be read.
  case frozen(ObjectName, in: String)
  case failed(String, ObjectName?, in: String, cause: ErrorReport, retry: Retry)
  /// The keys may not delete: a fact about the store, not a fault of it.
  case deletionRefused(ObjectName?, in: String, cause: ErrorReport)
  case pastUnknown(in: String, reason: String)
  case cannotLock(in: String, reason: String)

  public var summary: String {
    switch self {
    case .missing(let name, let store): "could not find \"\(name)\" in store \(store)"
    case .alreadyExists(let name, let store): "could not write \"\(name)\" to store \(store)"
    case .truncated(let name, let store, _, _): "could not read \"\(name)\" from store \(store)"
    case .frozen(let name, let store): "could not read \"\(name)\" from store \(store)"
    case .failed(let action, let name?, let store, _, _): "could not \(action) \"\(name)\" in store \(store)"
    case .failed(let action, nil, let store, _, _): "could not \(action) store \(store)"
    case .deletionRefused(let name?, let store, _): "may not delete \"\(name)\" in store \(store)"
    case .deletionRefused(nil, let store, _): "may not delete in store \(store)"
    case .pastUnknown(let store, _): "cannot read store \(store) as it was"
    case .cannotLock(let store, _): "cannot lock objects in store \(store)"
    }
  }
  public var detail: String? {
    switch self {
    case .missing: nil
    case .alreadyExists: "An object of that name is there already, and nothing is ever overwritten."
    case .truncated(_, _, let expected, let found): "\(expected) bytes were expected; \(found) are there."
    case .frozen: "It is there, in a storage class that must be thawed before it can be read."
    case .failed(_, _, _, let cause, _), .deletionRefused(_, _, let cause):
      [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ")
    case .pastUnknown(_, let reason): "It does not keep what was deleted or overwritten. \(reason)"
    case .cannotLock(_, let reason): reason
    }
  }
  public var hint: String? {
    switch self {
    case .failed(_, _, _, let cause, _): cause.hint ?? "Check that the store is there: mounted, reachable, not moved."
    case .frozen:
      "Run \"backupctl restore DIRECTORY --cluster CLUSTER --store STORE --thaw-tier bulk\": it asks for what it needs, and waits."
    case .deletionRefused:
      "Name keys that may in the store's \"prune-credentials\", or run \"backupctl prune\" where they are; \"backupctl repository policy\" prints their rights."
    case .cannotLock: "Make the bucket with object lock, or leave \"lock\" out of the store's settings."
    default: nil
    }
  }
  public var isFrozen: Bool {
    if case .frozen = self { true } else { false }
  }
  public var isMissing: Bool {
    if case .missing = self { true } else { false }
  }
  public var isDeletionRefused: Bool {
    if case .deletionRefused = self { true } else { false }
  }
  public var retryMayHelp: Bool {
    if case .failed(_, _, _, _, .mayHelp) = self { true } else { false }
  }
}
