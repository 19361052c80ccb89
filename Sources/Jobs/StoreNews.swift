internal import BlockingWork
internal import Repository
import Synchronization

/// What this daemon has put into stores: why whoever fills one from the others has to look again.
final class StoreNews: Sendable {
  enum Event: Sendable {
    /// Some more of an open segment: the next follows within seconds.
    case slice
    case segment
    case backup
    /// Some required store lacks a backup, or what it needs.
    case incompleteBackup
  }

  struct Counts: Sendable, Hashable {
    fileprivate(set) var slices = 0
    fileprivate(set) var segments = 0
    fileprivate(set) var backups = 0
    fileprivate(set) var incomplete = 0
  }

  /// Between two looks where one that came before saw slices stored, and segments.
  static let slicePause: Duration = .seconds(60)
  static let segmentPause: Duration = .seconds(10)

  let changed = Signal()
  private let counts = Mutex(Counts())
  var now: Counts { counts.withLock { $0 } }

  func tell(_ event: Event) {
    counts.withLock {
      switch event {
      case .slice: $0.slices += 1
      case .segment: $0.segments += 1
      case .backup: $0.backups += 1
      case .incompleteBackup: $0.incomplete += 1
      }
    }
    changed.raise()
  }

  /// How long after one look the next comes because of what was told since; nil where nothing calls for it.
  ///
  /// A required store gets WAL and backups from those who make them: it is looked at where something failed.
  func pause(for durability: Durability, since before: Counts) -> Duration? {
    let now = now
    if now.incomplete != before.incomplete { return .zero }
    guard durability == .eventual else { return nil }
    if now.backups != before.backups { return .zero }
    if now.segments != before.segments { return Self.segmentPause }
    return now.slices != before.slices ? Self.slicePause : nil
  }
}
