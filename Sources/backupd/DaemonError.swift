import BackupModel

/// The daemon cannot start.
enum DaemonError: OperatorError {
  case alreadyRunning(String)
  case groupMissing(String)

  var summary: String {
    switch self {
    case .alreadyRunning(let directory): "cannot use the state directory \"\(directory)\""
    case .groupMissing(let group): "cannot find the group \"\(group)\""
    }
  }
  var detail: String? {
    switch self {
    case .alreadyRunning: "Another backupd is running with it."
    case .groupMissing: "\"daemon.admin-group\" names it; the system has no such group."
    }
  }
  var hint: String? {
    switch self {
    case .alreadyRunning: "Stop the other one, or set another \"daemon.state-directory\"."
    case .groupMissing(let group): "Make it with \"groupadd --system \(group)\", or remove the key."
    }
  }
}
