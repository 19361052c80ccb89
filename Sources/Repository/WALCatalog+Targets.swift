public import BackupModel

/// Where a recovery target lies.
///
/// All of these look at the WAL that follows a position without a hole, on one timeline, in the order of the WAL, as
/// recovery does.
extension WALCatalog {
  /// How recovery to a time ends.
  public enum TimeAnswer: Sendable, Hashable {
    /// It stops before this record, the first that ended a transaction after the time; WAL is needed up to its end.
    /// `last` is the end before it, where one lies in the same or the previous segment.
    case stopsBefore(WALIndex.Entry, last: WALIndex.Entry?)
    /// Nothing ended after that time: recovery runs to the end of what is held.
    case endOfWAL(Latest)
  }

  /// The end of the WAL that is held.
  public struct Latest: Sendable, Hashable {
    public var end: LSN
    /// End of the last complete record, where one was seen.
    public var completeEnd: LSN?
    public var lastCommit: WALIndex.Entry?
    /// The server's clock when it sent the last bytes: WAL is complete through this time.
    public var serverClock: Timestamp?
  }

  /// The pieces that hold WAL from a position on without a hole.
  private func run(from position: WALPosition, in store: StoreID? = nil) -> ArraySlice<Piece> {
    guard let list = pieces[position.timeline] else { return [] }
    let end = coverage(from: position, in: store)
    guard end > position.lsn else { return [] }
    let first = WALSegment(timeline: position.timeline, holding: position.lsn, size: segmentSize)
    let last = WALSegment(timeline: position.timeline, holding: LSN(end.value - 1), size: segmentSize)
    guard let from = list.firstIndex(where: { $0.segment == first }),
      let to = list.firstIndex(where: { $0.segment == last })
    else { return [] }
    return list[from...to]
  }

  /// The first transaction that ended after a time. Reads as many indexes as a binary search does: commit times in WAL
  /// are nearly in order.
  public func position(ofTime time: Timestamp, from start: WALPosition) throws -> TimeAnswer? {
    let run = run(from: start)
    guard !run.isEmpty else { return nil }
    var cache: [Int: WALIndex] = [:]
    func index(_ number: Int) throws -> WALIndex? {
      if let known = cache[number] { return known }
      let read = try readIndex(run[number])
      cache[number] = read
      return read
    }
    func ends(_ number: Int) throws -> [WALIndex.Entry] {
      try index(number)?.entries.filter { $0.end > start.lsn } ?? []
    }
    /// Whether the segment, or the nearest before it that says anything, has an end after the time.
    func isLate(_ number: Int, notBefore low: Int) throws -> Bool {
      for candidate in stride(from: number, through: low, by: -1) {
        let ends = try ends(candidate)
        if !ends.isEmpty { return ends.contains { $0.time > time } }
      }
      return false
    }
    var low = run.startIndex
    var high = run.endIndex
    while low < high {
      let middle = (low + high) / 2
      if try isLate(middle, notBefore: low) { high = middle } else { low = middle + 1 }
    }
    // Clocks step back at times: an earlier segment with a late end is the one recovery stops in.
    while high > run.startIndex, try ends(high - 1).contains(where: { $0.time > time }) { high -= 1 }
    for number in run[max(high, run.startIndex)...].indices {
      let ends = try ends(number)
      guard let found = ends.firstIndex(where: { $0.time > time }) else { continue }
      var last = found > 0 ? ends[found - 1] : nil
      if last == nil, number > run.startIndex { last = try self.readIndex(run[number - 1])?.entries.last }
      return .stopsBefore(ends[found], last: last)
    }
    return try latestKnown(from: start).map { .endOfWAL($0) }
  }

  /// The end of a transaction, its commit or its abort; nil where none is held.
  public func position(ofXID xid: UInt32, from start: WALPosition) throws -> WALIndex.Entry? {
    for piece in run(from: start) {
      if let found = try readIndex(piece)?.entries.first(where: { $0.xid == xid && $0.end > start.lsn }) {
        return found
      }
    }
    return nil
  }

  /// The first restore point of a name, as recovery finds it; nil where none is held.
  public func position(ofRestorePoint name: String, from start: WALPosition) throws -> WALIndex.RestorePoint? {
    for piece in run(from: start) {
      if let found = try readIndex(piece)?.restorePoints.first(where: { $0.name == name && $0.end > start.lsn }) {
        return found
      }
    }
    return nil
  }

  /// Every restore point from a position on: what can be named where the one asked for is not there.
  public func restorePoints(from start: WALPosition) throws -> [WALIndex.RestorePoint] {
    try run(from: start).flatMap { try readIndex($0)?.restorePoints.filter { $0.end > start.lsn } ?? [] }
  }

  /// The end of the WAL that follows a position without a hole.
  /// - Parameter store: Count only what this store holds; nil counts all together.
  public func latestKnown(from start: WALPosition, in store: StoreID? = nil) throws -> Latest? {
    let run = run(from: start, in: store)
    guard let last = run.last else { return nil }
    var latest = Latest(end: end(of: last, in: store), completeEnd: nil, lastCommit: nil, serverClock: nil)
    for piece in run.reversed() {
      guard let index = try readIndex(piece, in: store) else { continue }
      latest.completeEnd = latest.completeEnd ?? index.completeEnd
      latest.serverClock = latest.serverClock ?? index.serverClock
      latest.lastCommit = index.entries.last { $0.outcome.isCommit && $0.end > start.lsn }
      if latest.lastCommit != nil { break }
    }
    let clock = clock(on: start.timeline, notBehind: latest.end)
    latest.serverClock = [latest.serverClock, clock].compactMap { $0 }.max()
    return latest
  }

  /// The newest clock of the idle server that says nothing about WAL behind `end`.
  private func clock(on timeline: TimelineID, notBehind end: LSN) -> Timestamp? {
    let segments = [end.value, end.value &- 1].map {
      WALSegment(timeline: timeline, holding: LSN($0), size: segmentSize)
    }
    let named = Set(segments).compactMap { piece($0) }.flatMap { piece in piece.clocks.map { (piece.segment, $0) } }
    for (segment, clock) in named.sorted(by: { $0.1.clock > $1.1.clock }) where clock.end <= end {
      // One that does not verify says nothing; an older one may.
      let name = clock.objectName(lineage, segment, size: segmentSize)
      if let read = try? repository.readDocument(WALClock.self, name), read == clock { return clock.clock }
    }
    return nil
  }
}
