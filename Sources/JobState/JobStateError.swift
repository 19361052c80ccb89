public import BackupModel
public import DurableFiles

/// The state of jobs could not be kept or read.
public enum JobStateError: OperatorError {
  case file(FileError)
  /// A file is there and is not what we wrote.
  /// - Parameters:
  ///   - keptAs: Where it was moved; nil where it stays, because only lines of it are unreadable or it cannot be moved.
  case damaged(path: String, problem: String, keptAs: String?)
  /// A file of a version that a newer backupd wrote.
  case versionUnknown(path: String, version: Int, keptAs: String?)

  public var summary: String {
    switch self {
    case .file(let error): error.summary
    case .damaged(let path, _, _): "could not read the state file \"\(path)\""
    case .versionUnknown(let path, let version, _):
      "cannot read the state file \"\(path)\": its version \(version) is newer than this backupd"
    }
  }
  public var detail: String? {
    switch self {
    case .file(let error): error.detail
    case .damaged(_, let problem, let keptAs): problem + Self.kept(keptAs)
    case .versionUnknown(_, _, let keptAs): "This backupd writes version 1." + Self.kept(keptAs)
    }
  }
  public var hint: String? {
    switch self {
    case .file(let error): error.hint
    case .damaged: "backupd continues without it; backups in the repository are not affected."
    case .versionUnknown: "Install the newer backupd again, or let this one continue without the file."
    }
  }

  private static func kept(_ path: String?) -> String { path.map { " It was kept as \"\($0)\"." } ?? "" }
}
