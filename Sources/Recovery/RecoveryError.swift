public import BackupModel

/// A restore cannot be done as asked, or went wrong.
public enum RecoveryError: OperatorError {
  case noBackup(ClusterID)
  case backupNotRestorable(BackupID, reason: String)
  /// No backup reaches the target; `reachable` says what can be had.
  case targetUnreachable(RecoveryTarget, reason: String, reachable: [String])
  /// It could not be done with the stores that answer; what the others hold is not known.
  indirect case storesUnheard(RecoveryError, [StoreID: ErrorReport])
  case timelineUnknown(TimelineID, known: [TimelineID])
  case historyMissing(TimelineID)
  case destinationNotEmpty(String, what: String, found: [String])
  case destinationBusy(String)
  /// An interrupted restore left something there that it did not write.
  case leftovers(String, found: [String])
  case parentMissing(String, what: String)
  case notAbsolute(String, what: String)
  case tablespaceUnknown(String, known: [String])
  case placesClash(String, String)
  case spaceLacking(String, needed: ByteCount, free: ByteCount, holding: [String])
  case ownerUnknown(String)
  case ownerNeeded(String)
  case ownerForbidden(String)
  case fileDiffers(String, BackupID)
  case file(ErrorReport, doing: String)
  case serverNotStarted(String, reason: [String], log: String)
  case serverEarly(String, state: String, log: String)
  case deadlinePassed(String, after: Duration, log: String)
  case notCluster(String, reason: String)
  /// A storage class is not thawed so.
  case tierMissing(String, String)
  /// WAL that recovery needs is in no store.
  case segmentMissing(String, before: WALPosition)

  public var summary: String {
    switch self {
    case .storesUnheard(let error, _): error.summary
    case .noBackup(let cluster): "could not find a backup of cluster \"\(cluster)\""
    case .backupNotRestorable(let id, _): "cannot restore backup \"\(id)\""
    case .targetUnreachable(let target, _, _): "cannot restore to \(target.text)"
    case .timelineUnknown(let timeline, _), .historyMissing(let timeline): "cannot restore to timeline \(timeline)"
    case .destinationNotEmpty(let path, _, _): "cannot restore into \"\(path)\""
    case .destinationBusy(let path): "cannot restore into \"\(path)\""
    case .leftovers(let path, _): "cannot clean up the interrupted restore in \"\(path)\""
    case .parentMissing(let path, _): "cannot make \"\(path)\""
    case .notAbsolute(let path, let what): "cannot use \"\(path)\" as \(what)"
    case .tablespaceUnknown(let location, _): "cannot map tablespace location \"\(location)\""
    case .placesClash(let a, let b): "cannot restore into \"\(a)\" and \"\(b)\" at once"
    case .spaceLacking(let path, _, _, _): "cannot restore into \"\(path)\": too little space"
    case .ownerUnknown(let name): "could not find user \"\(name)\""
    case .ownerNeeded(let path): "cannot choose an owner for the files in \"\(path)\""
    case .ownerForbidden(let name): "cannot give files to user \"\(name)\""
    case .fileDiffers(let path, _): "could not restore file \"\(path)\""
    case .file(_, let doing): "could not \(doing)"
    case .serverNotStarted(let path, _, _): "could not start the server in \"\(path)\""
    case .serverEarly(let path, _, _): "the server in \"\(path)\" did not reach its target"
    case .deadlinePassed(let path, _, _): "the server in \"\(path)\" has not finished recovery"
    case .segmentMissing(let name, _): "could not find WAL segment \"\(name)\""
    case .tierMissing(let name, let tier): "cannot thaw class \(name) by tier \(tier)"
    case .notCluster(let path, _): "could not read the control file of \"\(path)\""
    }
  }

  public var detail: String? {
    switch self {
    case .storesUnheard(let error, let stores):
      ([error.detail ?? ""] + stores.sorted { $0.key < $1.key }.map { Self.unheard($0, $1) + "." })
        .joined(separator: " ")
    case .noBackup: "The repository holds none."
    case .backupNotRestorable(_, let reason): reason
    case .targetUnreachable(_, let reason, let reachable):
      ([reason] + (reachable.isEmpty ? [] : ["Reachable: " + reachable.joined(separator: "; ") + "."]))
        .joined(separator: " ")
    case .timelineUnknown(_, let known):
      "The repository holds WAL of timeline \(known.map(\.description).joined(separator: ", "))."
    case .historyMissing(let timeline):
      "The repository does not hold \"\(timeline.historyFileName)\", without which PostgreSQL does not find the way there."
    case .destinationNotEmpty(_, let what, let found):
      "The \(what) is not empty: it holds \(Self.sample(found))."
    case .destinationBusy: "Another restore is writing there."
    case .leftovers(_, let found): "It holds what that restore did not write: \(Self.sample(found))."
    case .parentMissing(_, let what): "The directory above the \(what) does not exist."
    case .notAbsolute: "The path is not absolute."
    case .tablespaceUnknown(_, let known):
      known.isEmpty
        ? "The backup has no tablespace besides the default ones."
        : "The backup has tablespaces at \(Self.sample(known))."
    case .placesClash: "One lies within the other, or they are the same."
    case .spaceLacking(_, let needed, let free, let holding):
      "\(needed) are needed there for \(holding.joined(separator: ", ")); \(free) are free."
    case .ownerUnknown: "The system knows no such user."
    case .ownerNeeded: "The directory above belongs to root, and PostgreSQL does not run as root."
    case .ownerForbidden(let name):
      name == "root" ? "PostgreSQL does not run as root." : "Only root can give files to another user."
    case .fileDiffers(_, let backup):
      "Its content does not have the checksum that the manifest of backup \"\(backup)\" records."
    case .file(let cause, _): [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ")
    case .serverNotStarted(_, let reason, _): reason.isEmpty ? nil : reason.joined(separator: " / ")
    case .serverEarly(_, let state, _): "It is \(state)."
    case .deadlinePassed(_, let after, _): "It was given \(DurationText.format(after)) and is still replaying WAL."
    case .notCluster(_, let reason): reason
    case .tierMissing: "The class has no such tier."
    case .segmentMissing(_, let end):
      "No store holds it, and it lies before the planned end of recovery, \(PlannedEnd.text(end))."
    }
  }

  static func unheard(_ store: StoreID, _ report: ErrorReport) -> String {
    "Store \"\(store)\" did not answer and may hold other backups: \(report.summary)"
  }

  public var hint: String? {
    switch self {
    case .storesUnheard: "See that all stores answer, and run it again: what can be reached may be more than this."
    case .noBackup, .backupNotRestorable: "Run \"backupctl backups\" to see what there is."
    case .targetUnreachable: "Run \"backupctl backups\" and \"backupctl wal list\" to see what there is."
    case .timelineUnknown, .historyMissing: "Name another timeline with \"--timeline N\"."
    case .destinationNotEmpty(_, let what, _):
      what == "tablespace location"
        ? "Name another place with \"--tablespace OLD=NEW\"." : "Name an empty directory or one that does not exist."
    case .destinationBusy: "Wait for it to end, or name another directory."
    case .leftovers: "Move those files away, then run the same command again."
    case .parentMissing: "Make it first, owned by the user PostgreSQL runs as."
    case .notAbsolute: nil
    case .tablespaceUnknown: "Write the location as \"backupctl show BACKUP\" prints it."
    case .placesClash: "Name separate directories."
    case .spaceLacking:
      "Free space there, or restore elsewhere; a tablespace can be moved with \"--tablespace OLD=NEW\"."
    case .ownerUnknown, .ownerNeeded, .ownerForbidden: "Name the user that PostgreSQL runs as with \"--owner USER\"."
    case .fileDiffers(_, let backup): "Run \"backupctl verify --full \(backup)\"; restore from another backup."
    case .file(let cause, _): cause.hint
    case .serverNotStarted(_, _, let log), .serverEarly(_, _, let log), .deadlinePassed(_, _, let log):
      "Its log is \"\(log)\"."
    case .notCluster: nil
    case .tierMissing: "Use \"--thaw-tier standard\" or \"--thaw-tier bulk\"."
    case .segmentMissing: "Run \"backupctl wal gaps\", then restore to a target before the gap."
    }
  }

  private static func sample(_ names: [String]) -> String {
    names.prefix(3).map { "\"\($0)\"" }.joined(separator: ", ")
      + (names.count > 3 ? " and \(names.count - 3) more" : "")
  }
}
