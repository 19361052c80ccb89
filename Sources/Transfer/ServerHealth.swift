import Synchronization

/// Remembers that a server did not answer, so that those who ask it next do not each wait for it as long.
public final class ServerHealth: Sendable {
  private struct State {
    var failure: (any Error)?
    var asked = ContinuousClock.now
  }
  private let state = Mutex(State())
  /// A server that did not answer is asked again after so long.
  private let pause: Duration

  public init(pause: Duration = .seconds(30)) { self.pause = pause }

  /// Runs `body`, or throws what the last one threw where that was a moment ago and meant that the server is away.
  ///
  /// - Parameters:
  ///   - retries: For a server that is not known to be away. One that is gets a single attempt: those who wait for it have
  ///     waited long enough once.
  public func asking<Result>(
    _ retries: RetrySchedule, _ body: (RetrySchedule) throws -> Result
  ) throws -> Result {
    let (recent, isAway) = state.withLock { state -> ((any Error)?, Bool) in
      guard let failure = state.failure else { return (nil, false) }
      if ContinuousClock.now - state.asked < pause { return (failure, true) }
      // One asks; the others go on as before until it has an answer.
      state.asked = .now
      return (nil, true)
    }
    if let recent { throw recent }
    do {
      let result = try body(isAway ? RetrySchedule(total: .zero) : retries)
      state.withLock { $0.failure = nil }
      return result
    } catch {
      state.withLock {
        $0.failure = (error as? TransferError)?.isTransient == true ? error : nil
        $0.asked = .now
      }
      throw error
    }
  }
}
