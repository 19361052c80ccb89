public import BackupModel

/// A span without a gap, each instant of which can be restored.
public struct RecoverableSpan: Sendable, Hashable {
  /// When the oldest backup of the span was complete.
  public var from: Timestamp
  /// The newest instant the WAL is known to reach.
  public var to: Timestamp
  public var fromLSN: LSN
  public var toLSN: LSN
  public var timeline: TimelineID
}

extension BackupCatalog {
  /// What can be restored of a lineage, oldest first.
  ///
  /// Backups from which the WAL reaches the same end without a hole make one span. A backup whose own WAL is not
  /// complete makes none.
  public func recoverableSpans(_ backups: [Backup], _ wal: WALCatalog) throws -> [RecoverableSpan] {
    var spans: [RecoverableSpan] = []
    for backup in backups where backup.kind == .physical && backup.deleted == nil {
      let start = WALPosition(timeline: backup.timeline, lsn: backup.startLSN)
      let end = wal.coverage(from: start)
      guard end >= backup.stopLSN else { continue }
      if let last = spans.last, last.timeline == backup.timeline, last.toLSN == end { continue }
      let latest = try wal.latestKnown(from: start)
      let known = [latest?.serverClock, latest?.lastCommit?.time].compactMap { $0 }.max()
      spans.append(
        RecoverableSpan(
          from: backup.finished, to: max(known ?? backup.finished, backup.finished), fromLSN: backup.stopLSN,
          toLSN: end, timeline: backup.timeline))
    }
    return spans
  }
}
