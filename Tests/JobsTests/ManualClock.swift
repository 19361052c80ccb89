import BackupModel
import Jobs
import Synchronization

/// Clocks that go only when a test lets them.
final class ManualClock: JobClock {
  private struct Sleeper {
    var id: Int
    var until: Duration
    var continuation: CheckedContinuation<Void, any Error>
  }
  private struct State {
    var now: Timestamp
    var uptime: Duration = .seconds(1000)
    var nextID = 0
    var sleepers: [Sleeper] = []
    /// Cancelled before they slept.
    var cancelled: Set<Int> = []
  }
  private let state: Mutex<State>

  init(_ now: Timestamp) { state = Mutex(State(now: now)) }

  var now: Timestamp { state.withLock { $0.now } }
  var uptime: Duration { state.withLock { $0.uptime } }
  var sleepers: Int { state.withLock { $0.sleepers.count } }

  func sleep(for duration: Duration) async throws {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isCancelled = state.withLock { state in
          if state.cancelled.remove(id) != nil { return true }
          state.sleepers.append(Sleeper(id: id, until: state.uptime + duration, continuation: continuation))
          return false
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
      }
    } onCancel: {
      let sleeper = state.withLock { state -> Sleeper? in
        guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
          state.cancelled.insert(id)
          return nil
        }
        return state.sleepers.remove(at: index)
      }
      sleeper?.continuation.resume(throwing: CancellationError())
    }
  }

  /// Goes on to when the first of those who sleep wants to wake, and wakes it.
  func advance() {
    let sleeper = state.withLock { state -> Sleeper? in
      guard let index = state.sleepers.indices.min(by: { state.sleepers[$0].until < state.sleepers[$1].until }) else {
        return nil
      }
      let sleeper = state.sleepers.remove(at: index)
      let passed = max(.zero, sleeper.until - state.uptime)
      state.uptime += passed
      state.now = state.now + passed
      return sleeper
    }
    sleeper?.continuation.resume()
  }

  /// Time goes by while nothing can run: the host sleeps.
  func suspend(_ duration: Duration) {
    state.withLock {
      $0.uptime += duration
      $0.now = $0.now + duration
    }
  }

  /// Somebody sets the wall clock.
  func set(by step: Duration) { state.withLock { $0.now = $0.now + step } }
}
