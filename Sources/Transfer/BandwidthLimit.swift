internal import BlockingWork
import Synchronization

/// Holds back transfers so that together they keep below a rate, averaged over their own length.
public final class BandwidthLimit: Sendable {
  /// Bytes a second.
  public let rate: Int
  private let free: Mutex<ContinuousClock.Instant>

  /// - Parameter rate: Bytes a second, above zero.
  public init(rate: Int) {
    precondition(rate > 0)
    self.rate = rate
    free = Mutex(.now)
  }

  /// Returns when `count` bytes may go.
  /// - Throws: `CancellationError`.
  func wait(for count: Int, _ cancellation: Cancellation) throws {
    let time = Duration.microseconds(Int64(count) * 1_000_000 / Int64(rate))
    let begin = free.withLock { free -> ContinuousClock.Instant in
      let begin = max(free, .now)
      free = begin + time
      return begin
    }
    try cancellation.sleep(begin - .now)
  }
}
