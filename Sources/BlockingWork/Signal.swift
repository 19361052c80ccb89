internal import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// Wakes threads that wait for a change of state kept elsewhere.
///
/// - Note: `@unchecked Sendable`: `count` is touched only while `mutex` is held (POSIX, "Memory Synchronization").
public final class Signal: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var count = 0

  public init() {
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// How often it was raised: read before looking at the state, given to ``wait(after:for:)`` after.
  public var value: Int {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return count
  }

  public func raise() {
    pthread_mutex_lock(mutex)
    count += 1
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  /// Returns once raised after `value` was read, or when the time is over.
  public func wait(after value: Int, for duration: Duration) {
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    let nanoseconds = max(0, min(duration.secondsValue, 3600)) * 1e9 + Double(deadline.tv_nsec)
    deadline.tv_sec += Int(nanoseconds / 1e9)
    deadline.tv_nsec = Int(nanoseconds.truncatingRemainder(dividingBy: 1e9))
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while count == value {
      if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return }
    }
  }

  /// Returns once `condition` has a value, asked again at each raise; nil when the time is over.
  /// - Throws: `CancellationError`, what `condition` throws.
  public func wait<Value>(
    _ cancellation: Cancellation, _ timeout: Duration = .seconds(1 << 40), for condition: () throws -> Value?
  ) throws -> Value? {
    let handler = cancellation.addHandler { self.raise() }
    defer { cancellation.removeHandler(handler) }
    let deadline = ContinuousClock.now + timeout
    while true {
      try cancellation.check()
      let before = value
      if let found = try condition() { return found }
      let left = deadline - .now
      if left <= .zero { return nil }
      wait(after: before, for: left)
    }
  }
}
