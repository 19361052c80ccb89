public import BackupModel
public import Repository

/// What a restore will do, settled before anything is written.
public struct RestorePlan: Sendable {
  public var lineage: Lineage
  public var header: ManifestHeader
  public var target: RecoveryTarget
  /// What is written to the settings: ``RecoveryTarget/endOfWAL`` also for a time after which nothing ended.
  public var replayTarget: RecoveryTarget
  public var timeline: TimelineID
  public var action: TargetAction
  /// WAL is served up to here and reported as absent beyond.
  public var end: WALPosition
  /// Where the target lies in the WAL, as far as the index tells.
  public var targetLSN: LSN?
  public var segmentSize: WALSegmentSize
  public var warnings: [String]
  /// Stores that did not answer: recovery is led without them.
  public var unheard: [StoreID]

  public var backup: BackupID { header.id }
}
