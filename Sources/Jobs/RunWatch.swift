internal import BackupModel
import Synchronization

/// Tells followers of every change of a run.
final class RunWatch: Sendable {
  private struct State {
    var next = 0
    var followers: [Int: AsyncStream<RunRecord>.Continuation] = [:]
  }
  private let state = Mutex(State())

  /// Changes from now on. A follower that does not keep up loses the older ones of those it has not taken.
  func follow() -> AsyncStream<RunRecord> {
    let (stream, continuation) = AsyncStream.makeStream(of: RunRecord.self, bufferingPolicy: .bufferingNewest(64))
    let number = state.withLock { state in
      state.next += 1
      state.followers[state.next] = continuation
      return state.next
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.followers.removeValue(forKey: number) }
    }
    return stream
  }

  func tell(_ record: RunRecord) {
    let followers = state.withLock { Array($0.followers.values) }
    for follower in followers { follower.yield(record) }
  }
}
