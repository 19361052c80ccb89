public import BackupModel

/// A drill that did not prove what it was to prove.
public enum DrillError: OperatorError {
  case noSuchStore(StoreID)
  case backupUnreadable(BackupID, ErrorReport)
  case scratchBusy(String)
  case scratchForeign(String, found: [String])
  case scratchParentMissing(String)
  case socketPathTooLong(String)
  case processesLeft(String, [Int32])
  case serverEnded(BackupID, reason: [String])
  case notReplayed(BackupID, wanted: LSN, replayed: LSN?)
  case noSuperuser(ErrorReport)
  case checksFailed([CheckResult])
  case nothingSeen

  public var summary: String {
    switch self {
    case .noSuchStore(let store): "could not drill from store \"\(store)\""
    case .backupUnreadable(let backup, _): "could not drill with the newest backup, \"\(backup)\""
    case .scratchBusy(let path), .scratchForeign(let path, _), .scratchParentMissing(let path),
      .socketPathTooLong(let path):
      "could not drill in \"\(path)\""
    case .processesLeft(let path, _): "could not end the server of a drill in \"\(path)\""
    case .serverEnded(let backup, _): "could not start PostgreSQL on backup \"\(backup)\""
    case .notReplayed(let backup, _, _): "could not replay all WAL on backup \"\(backup)\""
    case .noSuperuser: "could not log in to the restored server"
    case .checksFailed(let checks):
      checks.count == 1
        ? "check \"\(checks[0].name)\" of the restored data failed"
        : "\(checks.count) checks of the restored data failed"
    case .nothingSeen: "the drill could not look at anything"
    }
  }

  public var detail: String? {
    switch self {
    case .noSuchStore: "The repository has no such store now."
    case .backupUnreadable(_, let cause): [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ")
    case .scratchBusy: "Another drill works there."
    case .scratchForeign(_, let found):
      "It is no scratch directory of a drill: it holds \(found.prefix(3).map { "\"\($0)\"" }.joined(separator: ", "))."
    case .scratchParentMissing: "The directory above it does not exist."
    case .socketPathTooLong:
      "The path of a socket in it would be longer than \(MinimalConfiguration.longestSocketPath) bytes."
    case .processesLeft(_, let pids): "Still running: \(pids.map { "\($0)" }.joined(separator: ", "))."
    case .serverEnded(_, let reason): reason.isEmpty ? nil : reason.joined(separator: " / ")
    case .notReplayed(_, let wanted, let replayed):
      "It ended at \(replayed?.description ?? "no known position"), and the target lies at \(wanted)."
    case .noSuperuser(let cause): [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ")
    case .checksFailed(let checks):
      CheckResult.sentences(checks)
    case .nothingSeen: "There was no heartbeat, none of the checks returned anything, and pg_amcheck did not run."
    }
  }

  public var hint: String? {
    switch self {
    case .noSuchStore: "Correct \"store\" of the job."
    case .backupUnreadable(_, let cause): cause.hint
    case .scratchBusy: "Wait for it to end: \"backupctl runs\"."
    case .scratchForeign: "Move it away, or name another \"scratch\" directory."
    case .scratchParentMissing: "Make it, owned by the daemon's user, or correct \"scratch\" of the job."
    case .socketPathTooLong: "Name a \"scratch\" directory with a shorter path."
    case .processesLeft: "See what they wait for, then restart the daemon."
    case .serverEnded(_, let reason):
      if reason.contains(where: { $0.contains("resource manager with ID") }) {
        "An extension wrote WAL of its own kind: name its library with \"preload\" of the drill."
      } else if reason.contains(where: { $0.contains("could not create file \"pg_tblspc/") }) {
        "It may not write to a tablespace that WAL makes at its own place: take a backup after making a tablespace."
      } else {
        "Try it by hand: \"backupctl restore DIRECTORY --cluster C --start\"."
      }
    case .notReplayed: "Run \"backupctl wal gaps\" and \"backupctl verify\"."
    case .noSuperuser: "See docs/operations/drills.md, \"How it logs in\"."
    case .checksFailed: "Look at all checks: \"backupctl drill --json\"."
    case .nothingSeen: "Name a file with \"checks\", or leave \"amcheck\" on."
    }
  }
}
