public import BackupModel
public import Storage

/// A checkpoint a run left: `checkpoints/<backup-id>-<n>`, the files done since the one before it.
///
/// In each store it is written after everything it refers to. The next run takes over what all of them together hold.
public struct RunCheckpoint: Sendable, Hashable, Comparable {
  /// The id the run's backup would have had.
  public let backup: BackupID
  /// From 1.
  public let number: Int

  public init(backup: BackupID, number: Int) {
    self.backup = backup
    self.number = number
  }

  /// - Parameter component: The last component of the name; nil for any other form.
  public init?(component: String) {
    guard let name = NumberedBackup(component: component) else { return nil }
    self.init(backup: name.backup, number: name.number)
  }

  public func name(in lineage: Lineage) -> ObjectName { lineage.checkpoint(backup, number) }

  public static func < (a: Self, b: Self) -> Bool { (a.backup, a.number) < (b.backup, b.number) }

  /// All checkpoints any store has of a lineage, in order.
  ///
  /// One whose id is far ahead of the clock is nobody's: no id could follow it.
  /// - Throws: `StorageError` where no store answers.
  public static func list(
    _ repository: Repository, _ lineage: Lineage, now: Timestamp = .now()
  ) throws -> [RunCheckpoint] {
    var found: Set<RunCheckpoint> = []
    for (_, listing) in try repository.listings(below: lineage.checkpointsPrefix) {
      for object in listing.objects {
        guard let checkpoint = RunCheckpoint(component: object.name.lastComponent),
          !checkpoint.backup.isFarAhead(of: now)
        else { continue }
        found.insert(checkpoint)
      }
    }
    return found.sorted()
  }

  /// Removes the checkpoints of runs up to a backup that is complete: nobody reads them any more.
  static func remove(upTo backup: BackupID, _ repository: Repository, _ lineage: Lineage) throws {
    for store in repository.required {
      for object in try store.objects.list(below: lineage.checkpointsPrefix).objects {
        guard let checkpoint = RunCheckpoint(component: object.name.lastComponent), checkpoint.backup <= backup else {
          continue
        }
        try store.objects.delete(object.name)
      }
    }
  }
}
