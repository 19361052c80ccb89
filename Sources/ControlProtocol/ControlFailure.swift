public import BackupModel

/// An error of `io.backupd.Control`: thrown by the daemon's handler, carried over the socket, thrown again by the
/// client.
public struct ControlFailure: OperatorError, Hashable {
  /// The errors' names on the wire, after the interface's.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case noSuchJob = "NoSuchJob"
    case noSuchRun = "NoSuchRun"
    case noSuchCluster = "NoSuchCluster"
    case noSuchBackup = "NoSuchBackup"
    case noSuchChannel = "NoSuchChannel"
    case permissionDenied = "PermissionDenied"
    case configurationInvalid = "ConfigurationInvalid"
    /// A job could not begin or be followed. A run that ended badly is an answer, not an error.
    case jobFailed = "JobFailed"
    case alreadyRunning = "AlreadyRunning"
    case shuttingDown = "ShuttingDown"
    /// Too many connections, or bytes that are not Varlink; the connection is closed after it.
    case refused = "Refused"
    /// Anything else the daemon could not do.
    case operationFailed = "OperationFailed"
  }

  public var kind: Kind
  public var report: ErrorReport

  public init(_ kind: Kind, _ report: ErrorReport) {
    self.kind = kind
    self.report = report
  }

  public var summary: String { report.summary }
  public var detail: String? { report.detail }
  public var hint: String? { report.hint }

  /// `io.backupd.Control.NoSuchJob`.
  public var fullName: String { ControlInterface.name + "." + kind.rawValue }
  /// - Returns: Nil for an error of another interface, or of a newer daemon.
  public static func kind(fullName: String) -> Kind? {
    guard fullName.hasPrefix(ControlInterface.name + ".") else { return nil }
    return Kind(rawValue: String(fullName.dropFirst(ControlInterface.name.utf8.count + 1)))
  }
}

extension ControlFailure {
  /// - Parameter known: The jobs there are.
  public static func noSuchJob(_ job: JobID, known: [JobID] = []) -> ControlFailure {
    let names = known.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
    return ControlFailure(
      .noSuchJob,
      ErrorReport(
        summary: "there is no job \"\(job)\"", detail: names.isEmpty ? nil : "The jobs are \(names).",
        hint: "List the jobs with \"backupctl jobs\"."))
  }

  /// - Parameter known: The channels there are.
  public static func noSuchChannel(_ channel: AlertChannelID, known: [AlertChannelID]) -> ControlFailure {
    let names = known.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
    return ControlFailure(
      .noSuchChannel,
      ErrorReport(
        summary: "there is no alert channel \"\(channel)\"",
        detail: names.isEmpty ? "The configuration has none." : "The channels are \(names).",
        hint: "Name it under \"alerts\" in the configuration, then \"backupctl reload\"."))
  }

  public static func noSuchRun(_ run: RunID) -> ControlFailure {
    ControlFailure(
      .noSuchRun,
      ErrorReport(
        summary: "there is no live run \"\(run)\"", detail: "It has ended, or there never was one of this id.",
        hint: "List the runs with \"backupctl runs\"."))
  }

  public static func noSuchBackup(_ backup: BackupID) -> ControlFailure {
    ControlFailure(
      .noSuchBackup,
      ErrorReport(
        summary: "there is no backup \"\(backup)\"", hint: "List the backups with \"backupctl backups\"."))
  }

  /// - Parameters:
  ///   - action: "run a job".
  ///   - user: Who asked: "carol (uid 1003)".
  ///   - group: Whose members may.
  public static func permissionDenied(action: String, user: String, group: String?) -> ControlFailure {
    let group = group.map { " and members of the group \"\($0)\"" } ?? ""
    return ControlFailure(
      .permissionDenied,
      ErrorReport(
        summary: "not permitted to \(action)",
        detail: "The daemon was asked by \(user); root, the daemon's own user\(group) may.",
        hint: "Run it with sudo, or have the user added to the group \"daemon.admin-group\" names and log in again."))
  }

  public static func configurationInvalid(_ report: ErrorReport) -> ControlFailure {
    ControlFailure(.configurationInvalid, report)
  }

  public static func jobFailed(_ report: ErrorReport) -> ControlFailure { ControlFailure(.jobFailed, report) }

  public static func alreadyRunning(_ job: JobID, run: RunID) -> ControlFailure {
    ControlFailure(
      .alreadyRunning,
      ErrorReport(
        summary: "job \"\(job)\" is already running", detail: "Its run is \"\(run)\".",
        hint: "Watch it with \"backupctl runs \(job) --follow\", or stop it with \"backupctl cancel \(run)\"."))
  }

  public static func shuttingDown() -> ControlFailure {
    ControlFailure(
      .shuttingDown,
      ErrorReport(
        summary: "the daemon is stopping", hint: "Try again once it runs: \"systemctl status backupd\" tells."))
  }

  /// Any error of the daemon as one the protocol can carry.
  public init(_ error: any Error) {
    switch error {
    case let failure as ControlFailure: self = failure
    case is CancellationError: self = .shuttingDown()
    default: self.init(.operationFailed, ErrorReport(error))
    }
  }
}
