import Synchronization

/// Keeps the first error of several threads; a cancellation that the error itself caused does not hide it.
public final class FirstFailure: Sendable {
  private let state = Mutex<(any Error)?>(nil)
  public init() {}

  public var error: (any Error)? { state.withLock { $0 } }

  public func record(_ error: any Error) {
    state.withLock { if $0 == nil || ($0 is CancellationError && !(error is CancellationError)) { $0 = error } }
  }
}
