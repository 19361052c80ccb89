internal import BackupModel
internal import Repository

/// Something that every store must come to hold.
enum Shipment: Hashable, Sendable {
  case history(TimelineID)
  case segment(WALSegment)
  /// Bytes of the open segment, or of one that was set aside.
  case slice(WALSegment, first: LSN, end: LSN)
  case gap(WALGap)
  /// What an idle server's clock said.
  case clock(WALSegment, WALClock)

  var timeline: TimelineID {
    switch self {
    case .history(let timeline): timeline
    case .segment(let segment), .slice(let segment, _, _), .clock(let segment, _): segment.timeline
    case .gap(let gap): gap.timeline
    }
  }

  /// Whether it has to wait for the history of a timeline.
  func isBehind(_ history: TimelineID?) -> Bool {
    if case .history = self { return false }
    return history.map { $0 <= timeline } ?? false
  }
}
