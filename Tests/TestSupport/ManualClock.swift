public import BackupModel
internal import Synchronization

/// A clock that stands still until the test moves it. Sleepers wake in the order of their deadlines.
///
/// Await ``waitForSleepers(_:)`` before ``advance(by:)``: then what is under test has reached its `sleep`.
public final class ManualClock: Clock, Sendable {
  public struct Instant: InstantProtocol {
    public var offset: Duration
    public init(offset: Duration) { self.offset = offset }
    public func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
    public func duration(to other: Instant) -> Duration { other.offset - offset }
    public static func < (a: Instant, b: Instant) -> Bool { a.offset < b.offset }
  }

  private struct Sleeper {
    var id: UInt64
    var deadline: Instant
    var continuation: CheckedContinuation<Void, any Error>
  }
  private struct State {
    var now = Instant(offset: .zero)
    var nextID: UInt64 = 0
    var sleepers: [Sleeper] = []
    /// Cancelled before they came to sleep.
    var cancelled: Set<UInt64> = []
    var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

    mutating func takeSatisfiedWatchers() -> [CheckedContinuation<Void, Never>] {
      let satisfied = watchers.filter { $0.count <= sleepers.count }.map(\.continuation)
      watchers.removeAll { $0.count <= sleepers.count }
      return satisfied
    }
  }

  private let state = Mutex(State())
  private let start: Timestamp

  /// - Parameter start: The wall time that ``timestamp`` shows at first.
  public init(start: Timestamp = Timestamp(microseconds: 1_793_577_600_000_000)) { self.start = start }

  public var now: Instant { state.withLock { $0.now } }
  public var minimumResolution: Duration { .nanoseconds(1) }
  /// The wall time: it moves with the clock.
  public var timestamp: Timestamp { Timestamp(microseconds: start.microseconds + now.offset.microseconds) }

  public func advance(by duration: Duration) {
    let due = state.withLock { state in
      state.now = state.now.advanced(by: duration)
      let due = state.sleepers.filter { $0.deadline <= state.now }.sorted { $0.deadline < $1.deadline }
      state.sleepers.removeAll { $0.deadline <= state.now }
      return due.map(\.continuation)
    }
    for continuation in due { continuation.resume() }
  }

  public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        park(Sleeper(id: id, deadline: deadline, continuation: continuation))
      }
    } onCancel: {
      cancel(id)
    }
  }

  /// Returns once at least `count` tasks sleep on this clock.
  public func waitForSleepers(_ count: Int = 1) async {
    await withCheckedContinuation { continuation in
      let satisfied = state.withLock { state in
        state.watchers.append((count, continuation))
        return state.takeSatisfiedWatchers()
      }
      for watcher in satisfied { watcher.resume() }
    }
  }

  private enum Parking {
    case asleep([CheckedContinuation<Void, Never>])
    case due, cancelled
  }

  private func park(_ sleeper: Sleeper) {
    let parking: Parking = state.withLock { state in
      if state.cancelled.remove(sleeper.id) != nil { return .cancelled }
      if sleeper.deadline <= state.now { return .due }
      state.sleepers.append(sleeper)
      return .asleep(state.takeSatisfiedWatchers())
    }
    switch parking {
    case .asleep(let watchers): for watcher in watchers { watcher.resume() }
    case .due: sleeper.continuation.resume()
    case .cancelled: sleeper.continuation.resume(throwing: CancellationError())
    }
  }

  private func cancel(_ id: UInt64) {
    let continuation = state.withLock { state in
      guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
        state.cancelled.insert(id)
        return CheckedContinuation<Void, any Error>?.none
      }
      return state.sleepers.remove(at: index).continuation
    }
    continuation?.resume(throwing: CancellationError())
  }
}
