public import BackupModel

/// A cluster whose health could not be shown.
public enum HealthError: OperatorError {
  case notAccepting(ClusterID, String)
  case noDump(ClusterID, job: JobID?)
  case dumpUnreadable(BackupID, ErrorReport)
  case dumpTooLarge(BackupID, size: ByteCount, limit: ByteCount)
  case spaceLacking(BackupID, directory: String, needed: ByteCount, free: ByteCount)
  case connectionsLacking(free: Int, needed: Int)
  case databaseNotMade(ErrorReport)
  case databaseLeft(String, ErrorReport)
  case checksFailed([CheckResult])

  public var summary: String {
    switch self {
    case .notAccepting(let cluster, _): "the server of cluster \"\(cluster)\" takes no connections"
    case .noDump(let cluster, _): "could not check a dump of cluster \"\(cluster)\": there is none"
    case .dumpUnreadable(let backup, _): "could not check the newest dump, \"\(backup)\""
    case .dumpTooLarge(let backup, _, _), .spaceLacking(let backup, _, _, _):
      "could not restore dump \"\(backup)\" into a scratch database: too little space"
    case .connectionsLacking: "could not make a scratch database: too few connections are free"
    case .databaseNotMade: "could not make a scratch database"
    case .databaseLeft(let name, _): "could not drop scratch database \"\(name)\""
    case .checksFailed(let checks):
      checks.count == 1 ? "check \"\(checks[0].name)\" failed" : "\(checks.count) checks failed"
    }
  }

  public var detail: String? {
    switch self {
    case .notAccepting(_, let state): state
    case .noDump(_, let job?): "Job \"\(job)\" has left none that holds definitions as well as rows."
    case .noDump(_, nil): "Only dumps that hold definitions as well as rows can be restored alone."
    case .dumpUnreadable(_, let cause), .databaseNotMade(let cause), .databaseLeft(_, let cause):
      [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ")
    case .dumpTooLarge(_, let size, let limit): "It has \(size), and \"size-limit\" of the job is \(limit)."
    case .spaceLacking(_, let directory, let needed, let free):
      "\(needed) may be needed below \"\(directory)\", where \(free) can be used."
    case .connectionsLacking(let free, let needed): "\(free) are free for ordinary roles; \(needed) must be."
    case .checksFailed(let checks): CheckResult.sentences(checks)
    }
  }

  public var hint: String? {
    switch self {
    case .notAccepting: "See the server's log."
    case .noDump:
      "Configure a job of kind logical without \"data-only\" and run it, or set \"restore: false\" on the check."
    case .dumpUnreadable(_, let cause): cause.hint ?? "Run \"backupctl verify\"."
    case .dumpTooLarge, .spaceLacking: "Name another server with \"server\" of the check, or make room."
    case .connectionsLacking: "Raise \"max_connections\", or name another server with \"server\" of the check."
    case .databaseNotMade(let cause): cause.hint ?? "The role needs CREATEDB: see docs/operations/health-checks.md."
    case .databaseLeft(let name, _): "Drop it by hand: DROP DATABASE \"\(name)\" WITH (FORCE)."
    case .checksFailed: "Look at all checks: \"backupctl runs --json\"."
    }
  }
}
