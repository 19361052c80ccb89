internal import BackupModel
internal import BlockingWork
internal import Synchronization

/// Hears of conditions as they change, for the channels' loops, which look at what holds whenever they are woken.
///
/// What came and went between two looks shows by the time it was last raised.
final class ConditionWatch: Sendable {
  let changed = Signal()
  private let lastRaised = Mutex<[String: Timestamp]>([:])
  private let now: @Sendable () -> Timestamp

  init(now: @escaping @Sendable () -> Timestamp) { self.now = now }

  func take(_ change: ConditionChange) {
    if case .raised(let condition) = change {
      let time = now()
      lastRaised.withLock { raised in
        raised[condition.id] = time
        // Of those an hour ago nobody asks: whoever counts an absence has begun since.
        if raised.count > 1000 { raised = raised.filter { time - $0.value < .seconds(3600) } }
      }
    }
    changed.raise()
  }

  func lastRaised(_ id: String) -> Timestamp? { lastRaised.withLock { $0[id] } }
}
