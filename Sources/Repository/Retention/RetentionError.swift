public import BackupModel

/// Why nothing was deleted, or not brought back.
public enum RetentionError: OperatorError {
  /// Used as if it were not deleted.
  case deleted(BackupID, at: Timestamp)
  case notDeleted(BackupID)
  case lastRestorable(BackupID, ClusterID)
  /// Bringing it back would bring back something that cannot be restored.
  case incomplete(BackupID, reason: String)
  /// Somebody else spoke at the same time.
  case contended(BackupID)
  /// No word can come after this one, which is none of ours.
  case lastWordTaken(String)
  case manifestUnreadable(BackupID, StoreID, cause: ErrorReport)
  case checkpointUnreadable(String, StoreID, cause: ErrorReport)
  case clockDiffers(of: String, by: Duration)
  case clockJumped(by: Duration, since: Timestamp)
  case anotherPrune(StoreID, since: Timestamp)
  case leaseLost(String, cause: ErrorReport?)

  public var summary: String {
    switch self {
    case .deleted(let id, _): "cannot use backup \"\(id)\": it is deleted"
    case .notDeleted(let id): "cannot undelete backup \"\(id)\""
    case .lastRestorable(let id, _): "did not delete backup \"\(id)\""
    case .incomplete(let id, _): "cannot undelete backup \"\(id)\""
    case .contended(let id): "could not record what happens to backup \"\(id)\""
    case .lastWordTaken(let name): "cannot record what happens to a backup: \"\(name)\" is there"
    case .manifestUnreadable(let id, let store, _):
      "deleted nothing: backup \"\(id)\" in store \"\(store)\" cannot be read"
    case .checkpointUnreadable(let name, let store, _):
      "deleted nothing: \"\(name)\" in store \"\(store)\" cannot be read"
    case .clockDiffers(let what, _): "deleted nothing: this host's clock is not that of \(what)"
    case .clockJumped: "deleted nothing: this host's clock has jumped"
    case .anotherPrune(let store, _): "deleted nothing: another prune holds store \"\(store)\""
    case .leaseLost(let what, _): "had to give up the \(what): its lease could not be renewed"
    }
  }

  public var detail: String? {
    switch self {
    case .deleted(_, let at): "It was deleted at \(at), and goes for good 24 hours after that."
    case .notDeleted: "It is not deleted."
    case .lastRestorable(_, let cluster): "It is the last backup of cluster \"\(cluster)\" that can be restored."
    case .incomplete(_, let reason): reason
    case .contended: "Another process deleted or undeleted it at the same time."
    case .lastWordTaken: "It has the highest number there can be, and nobody counts so far: somebody put it there."
    case .manifestUnreadable(_, _, let cause), .checkpointUnreadable(_, _, let cause):
      "What it needs is not known, so nothing may go. \(cause.summary)" + (cause.detail.map { ": \($0)" } ?? "")
    case .clockDiffers(let what, let difference):
      "They differ by \(DurationText.format(difference.magnitude)): this host is \(difference > .zero ? "ahead of" : "behind") \(what)."
    case .clockJumped(let difference, let since):
      "It went \(difference < .zero ? "back" : "forward") by \(DurationText.format(difference.magnitude)) since \(since)."
    case .anotherPrune(_, let since): "It began at \(since)."
    case .leaseLost(_, let cause):
      "Without it a prune might remove what is being read."
        + (cause.map { " \($0.summary)" + ($0.detail.map { ": \($0)" } ?? "") } ?? "")
    }
  }

  public var hint: String? {
    switch self {
    case .deleted(let id, _): "Bring it back with \"backupctl undelete \(id)\"."
    case .notDeleted: nil
    case .lastRestorable: "Take another backup first."
    case .incomplete: "Choose another backup: \"backupctl backups\"."
    case .contended: "Look at \"backupctl backups\" and try again."
    case .lastWordTaken: "Move that object away from its store by hand, and see who can write there."
    case .manifestUnreadable(let id, _, _):
      "Run \"backupctl verify \(id)\". Where it is damaged for good, move the object away from the store by hand; its packs then go with the next prune."
    case .checkpointUnreadable:
      "Take a backup: checkpoints older than it are removed. One that stays can be moved away by hand: no restore needs it."
    case .clockDiffers, .clockJumped: "Correct the clock (\"timedatectl\"); prune goes on by itself once they agree."
    case .anotherPrune: "Wait for it to end. What a prune that died leaves expires within an hour."
    case .leaseLost: "See that the store can be written, and run it again."
    }
  }
}
