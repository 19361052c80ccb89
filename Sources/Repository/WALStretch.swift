public import BackupModel

/// The WAL after one backup's start, along a path, up to the first gap.
public struct WALStretch {
  /// Where contiguous WAL ends, and on which timeline.
  public let end: WALPosition
  /// Where the last complete record ends.
  public let completeEnd: LSN
  /// The server's clock when the last of it was written; nothing that ended before is missing.
  public let lastKnown: Timestamp?
  private let catalog: WALCatalog
  /// What is held of each timeline on the way.
  private let runs: [(from: WALPosition, to: LSN)]

  /// - Parameter store: Count only what this store holds; nil counts all together.
  /// - Returns: Nil where the start itself is not held.
  public init?(
    _ catalog: WALCatalog, from start: LSN, piece: Int, of path: TimelinePath, in store: StoreID? = nil
  ) throws {
    var runs: [(from: WALPosition, to: LSN)] = []
    var latest: WALCatalog.Latest?
    var position = start
    for piece in path.pieces[piece...] {
      let from = WALPosition(timeline: piece.timeline, lsn: position)
      let reached = catalog.coverage(from: from, in: store)
      guard reached > position else { break }
      runs.append((from, min(reached, piece.end ?? reached)))
      if piece.end.map({ reached < $0 }) ?? true {
        latest = try catalog.latestKnown(from: from, in: store) ?? latest
        break
      }
      position = piece.end ?? reached
    }
    guard let last = runs.last else { return nil }
    self.catalog = catalog
    self.runs = runs
    end = WALPosition(timeline: last.from.timeline, lsn: last.to)
    if latest == nil { latest = try catalog.latestKnown(from: last.from, in: store) }
    completeEnd = min(latest?.completeEnd ?? last.from.lsn, last.to)
    lastKnown = [latest?.serverClock, latest?.lastCommit?.time].compactMap { $0 }.max()
  }

  /// The first end of a transaction after a time, in the order of the WAL.
  ///
  /// Those before the start in the same segment are looked at too: so a backup begun later than the time is found out
  /// where the clocks of server and backup differ.
  public func firstEnd(after time: Timestamp) throws -> WALIndex.Entry? {
    for (index, run) in runs.enumerated() {
      var from = run.from
      if index == 0 {
        from.lsn = WALSegment(timeline: from.timeline, holding: from.lsn, size: catalog.segmentSize)
          .start(size: catalog.segmentSize)
      }
      if case .stopsBefore(let entry, _) = try catalog.position(ofTime: time, from: from), entry.end <= run.to {
        return entry
      }
    }
    return nil
  }

  public func end(of xid: UInt32) throws -> WALIndex.Entry? {
    for run in runs {
      if let entry = try catalog.position(ofXID: xid, from: run.from), entry.end <= run.to { return entry }
    }
    return nil
  }

  /// The first of that name, which is the one recovery stops at.
  public func restorePoint(_ name: String) throws -> WALIndex.RestorePoint? {
    for run in runs {
      if let point = try catalog.position(ofRestorePoint: name, from: run.from), point.end <= run.to { return point }
    }
    return nil
  }

  public func restorePoints() throws -> [WALIndex.RestorePoint] {
    try runs.flatMap { run in try catalog.restorePoints(from: run.from).filter { $0.end <= run.to } }
  }

  /// Whether a transaction is known to have ended in a record that begins at or after a position.
  public func hasEnd(from lsn: LSN) throws -> Bool {
    for run in runs where run.to > lsn {
      let first = WALSegment(timeline: run.from.timeline, holding: lsn, size: catalog.segmentSize)
      for piece in catalog.pieces[run.from.timeline] ?? [] where piece.segment >= first {
        guard piece.segment.start(size: catalog.segmentSize) < run.to else { break }
        let entries = try catalog.readIndex(piece)?.entries ?? []
        if entries.contains(where: { $0.start >= lsn && $0.end <= run.to }) { return true }
      }
    }
    return false
  }
}
