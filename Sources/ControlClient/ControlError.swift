public import BackupModel
public import ControlProtocol
internal import Varlink

#if canImport(Glibc)
  import Glibc
#endif

/// Why the daemon did not do what it was asked for.
public enum ControlError: OperatorError {
  /// Nobody answers on the socket.
  case daemonNotRunning(path: String, detail: String)
  /// The caller may not open the socket.
  case connectionForbidden(path: String)
  /// The daemon went away or did not answer in time.
  case connectionFailed(ErrorReport)
  /// The daemon answered with an error of its own.
  case daemon(ControlFailure)

  init(_ error: any Error, path: String) {
    switch error {
    case let error as ControlError: self = error
    case VarlinkError.connectionRefused(_, EACCES), VarlinkError.connectionRefused(_, EPERM):
      self = .connectionForbidden(path: path)
    case VarlinkError.connectionRefused(_, ENOENT):
      self = .daemonNotRunning(path: path, detail: "There is no socket \"\(path)\".")
    case VarlinkError.connectionRefused(_, ECONNREFUSED):
      self = .daemonNotRunning(path: path, detail: "Nobody answers on the socket \"\(path)\".")
    case let error as VarlinkRemoteError: self = Self.remote(error)
    default: self = .connectionFailed(ErrorReport(error))
    }
  }

  private static func remote(_ error: VarlinkRemoteError) -> ControlError {
    if let kind = ControlFailure.kind(fullName: error.name),
      let report = try? error.reply.parameters(as: ErrorReport.self)
    {
      return .daemon(ControlFailure(kind, report))
    }
    let hint = "Check that backupctl and the daemon are of one version: \"backupctl status\" shows the daemon's."
    return .connectionFailed(ErrorReport(summary: error.summary, detail: error.detail, hint: hint))
  }

  public var summary: String {
    switch self {
    case .daemonNotRunning: "the daemon is not running"
    case .connectionForbidden: "not permitted to talk to the daemon"
    case .connectionFailed(let report): report.summary
    case .daemon(let failure): failure.summary
    }
  }
  public var detail: String? {
    switch self {
    case .daemonNotRunning(_, let detail): detail
    case .connectionForbidden(let path): "The mode of the socket \"\(path)\" does not let this user connect."
    case .connectionFailed(let report): report.detail
    case .daemon(let failure): failure.detail
    }
  }
  public var hint: String? {
    switch self {
    case .daemonNotRunning: "Start it with \"systemctl start backupd\"."
    case .connectionForbidden:
      "Run it with sudo, or have the user added to the group that \"daemon.admin-group\" names and log in again."
    case .connectionFailed(let report): report.hint ?? "See \"systemctl status backupd\" and \"journalctl -u backupd\"."
    case .daemon(let failure): failure.hint
    }
  }
}
