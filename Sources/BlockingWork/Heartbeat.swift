import Synchronization

/// Shows that a loop turns: the loop beats, somebody else looks how long ago that was.
public final class Heartbeat: Sendable {
  private let last = Mutex(ContinuousClock.now)

  public init() {}
  public func beat() { last.withLock { $0 = .now } }
  /// Since the last beat.
  public var age: Duration { .now - last.withLock { $0 } }
}
