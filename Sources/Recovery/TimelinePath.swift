internal import BackupModel

/// The timelines a recovery passes on its way to one of them.
struct TimelinePath {
  struct Piece {
    var timeline: TimelineID
    var first: LSN
    /// Where the next timeline left this one; nil for the last.
    var end: LSN?
  }
  var pieces: [Piece]

  init(to timeline: TimelineID, history: TimelineHistory?) {
    pieces = []
    var first = LSN(0)
    for entry in history?.entries ?? [] {
      pieces.append(Piece(timeline: entry.timeline, first: first, end: entry.end))
      first = entry.end
    }
    pieces.append(Piece(timeline: timeline, first: first, end: nil))
  }

  var target: TimelineID { pieces[pieces.count - 1].timeline }

  /// The piece of a timeline, where this position had been reached before the next timeline left it.
  func index(of timeline: TimelineID, reaching lsn: LSN) -> Int? {
    pieces.firstIndex { $0.timeline == timeline && lsn >= $0.first && lsn <= $0.end ?? lsn }
  }
}
