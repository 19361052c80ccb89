internal import BackupModel
internal import BlockingWork
import Synchronization

/// Keeps several threads together below a rate of bytes a second.
final class Pacer: Sendable {
  private let bytesPerSecond: Double
  private let now: @Sendable () -> ContinuousClock.Instant
  /// When the bytes granted so far will have been due.
  private let granted: Mutex<ContinuousClock.Instant>

  /// - Parameter now: The clock; another one in tests.
  init(_ rate: ByteCount, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
    bytesPerSecond = Double(max(1, rate.value))
    self.now = now
    granted = Mutex(now())
  }

  /// How long to wait before so many bytes may be read.
  func pause(for bytes: Int) -> Duration {
    let now = now()
    return granted.withLock { granted in
      // What was not used is not saved up: after a pause there is no burst.
      let start = max(granted, now)
      granted = start + .seconds(Double(bytes) / bytesPerSecond)
      return start - now
    }
  }
}
