public import BackupModel

/// The timelines a recovery passes on its way to one of them.
public struct TimelinePath: Sendable {
  public struct Piece: Sendable {
    public var timeline: TimelineID
    public var first: LSN
    /// Where the next timeline left this one; nil for the last.
    public var end: LSN?
  }
  public private(set) var pieces: [Piece]

  public init(to timeline: TimelineID, history: TimelineHistory?) {
    pieces = []
    var first = LSN(0)
    for entry in history?.entries ?? [] {
      pieces.append(Piece(timeline: entry.timeline, first: first, end: entry.end))
      first = entry.end
    }
    pieces.append(Piece(timeline: timeline, first: first, end: nil))
  }

  public var target: TimelineID { pieces[pieces.count - 1].timeline }

  /// The piece of a timeline, where this position had been reached before the next timeline left it.
  public func index(of timeline: TimelineID, reaching lsn: LSN) -> Int? {
    pieces.firstIndex { $0.timeline == timeline && lsn >= $0.first && lsn <= $0.end ?? lsn }
  }
}

extension WALCatalog {
  /// The timelines that WAL or a history is held of, lowest first.
  public var knownTimelines: [TimelineID] { Set(timelines + histories.keys).sorted() }

  /// The way to a timeline; nil where its history is not held, without which PostgreSQL would not go there.
  public func path(to timeline: TimelineID) throws -> TimelinePath? {
    guard timeline.value > 1 else { return TimelinePath(to: timeline, history: nil) }
    guard let bytes = try readHistory(timeline) else { return nil }
    let history = try TimelineHistory(timeline: timeline, text: String(decoding: bytes, as: UTF8.self))
    return TimelinePath(to: timeline, history: history)
  }
}
