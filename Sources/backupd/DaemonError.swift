import BackupModel

/// The daemon cannot start.
enum DaemonError: OperatorError {
  case alreadyRunning(String)
  case groupMissing(String)
  case ownDirectoryUnknown

  var summary: String {
    switch self {
    case .alreadyRunning(let directory): "cannot use the state directory \"\(directory)\""
    case .groupMissing(let group): "cannot find the group \"\(group)\""
    case .ownDirectoryUnknown: "could not find the directory of backupd"
    }
  }
  var detail: String? {
    switch self {
    case .alreadyRunning: "Another backupd is running with it."
    case .groupMissing: "\"daemon.admin-group\" names it; the system has no such group."
    case .ownDirectoryUnknown: "/proc/self/exe cannot be read; drills call backupd-wal, which lies beside it."
    }
  }
  var hint: String? {
    switch self {
    case .alreadyRunning: "Stop the other one, or set another \"daemon.state-directory\"."
    case .ownDirectoryUnknown: "Mount /proc."
    case .groupMissing(let group): "Make it with \"groupadd --system \(group)\", or remove the key."
    }
  }
}
