public import BackupModel

/// A span without a gap, each instant of which can be restored.
public struct RecoverableSpan: Sendable, Hashable {
  /// When the oldest backup of the span was complete.
  public var from: Timestamp
  /// The newest instant the WAL is known to reach.
  public var to: Timestamp
  public var fromLSN: LSN
  public var toLSN: LSN
  /// At the span's end.
  public var timeline: TimelineID
}

extension BackupCatalog {
  /// What can be restored of a lineage, oldest first, each as far as the latest timeline that descends from it.
  ///
  /// Backups from which the WAL reaches the same end without a hole make one span. A backup whose own WAL is not
  /// complete makes none.
  /// - Parameter store: Count only what this store holds; nil counts all together.
  public func recoverableSpans(
    _ backups: [Backup], _ wal: WALCatalog, in store: StoreID? = nil
  ) throws -> [RecoverableSpan] {
    let paths = try wal.knownTimelines.reversed().compactMap { try wal.path(to: $0) }
    var spans: [RecoverableSpan] = []
    for backup in backups where backup.kind == .physical && backup.deleted == nil {
      if let store, !backup.stores.contains(store) { continue }
      guard let stretch = try stretch(after: backup, wal, paths, in: store) else { continue }
      let end = stretch.end
      if let last = spans.last, last.timeline == end.timeline, last.toLSN == end.lsn { continue }
      spans.append(
        RecoverableSpan(
          from: backup.finished, to: max(stretch.lastKnown ?? backup.finished, backup.finished),
          fromLSN: backup.stopLSN, toLSN: end.lsn, timeline: end.timeline))
    }
    return spans
  }

  private func stretch(
    after backup: Backup, _ wal: WALCatalog, _ paths: [TimelinePath], in store: StoreID?
  ) throws -> WALStretch? {
    for path in paths {
      guard let piece = path.index(of: backup.timeline, reaching: backup.stopLSN) else { continue }
      let stretch = try WALStretch(wal, from: backup.startLSN, piece: piece, of: path, in: store)
      guard let stretch, stretch.end.timeline > backup.timeline || stretch.end.lsn >= backup.stopLSN else { return nil }
      return stretch
    }
    return nil
  }
}
