public import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// The clocks that scheduling looks at; others in tests.
public protocol JobClock: Sendable {
  /// What the wall clock says.
  var now: Timestamp { get }
  /// A clock that nobody sets and that goes on while the host sleeps.
  var uptime: Duration { get }
  /// - Throws: `CancellationError`.
  func sleep(for duration: Duration) async throws
}

/// The host's.
public struct HostJobClock: JobClock {
  public init() {}
  public var now: Timestamp { .now() }
  public var uptime: Duration {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
  }
  public func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }
}
