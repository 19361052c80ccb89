import Synchronization

/// Remembers that a server did not answer, so that those who ask it next do not each wait for it as long.
public final class ServerHealth: Sendable {
  private struct State {
    var failure: (any Error)?
    var asked: ContinuousClock.Instant
    /// Why a glance came to nothing, and until when another one would.
    var glance: (failure: any Error, end: ContinuousClock.Instant)?
  }
  private let state: Mutex<State>
  /// A server that did not answer is asked again after so long.
  private let pause: Duration
  private let now: @Sendable () -> ContinuousClock.Instant

  public init(
    pause: Duration = .seconds(30), now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    self.pause = pause
    self.now = now
    state = Mutex(State(asked: now()))
  }

  /// Runs `body`, or throws what the last one threw where that was a moment ago and meant that the server is away.
  ///
  /// A glance, which is a call of a single attempt, makes no server count as away: one request may get lost. What it waited for
  /// in vain is kept from other glances for as long as it waited, so that they do not spend all their time on a server that
  /// is away.
  /// - Parameters:
  ///   - retries: For a server that is not known to be away. One that is gets a single attempt: those who wait for it have
  ///     waited long enough once.
  public func asking<Result>(
    _ retries: RetrySchedule, _ body: (RetrySchedule) throws -> Result
  ) throws -> Result {
    let isGlance = retries.total == .zero
    let begin = now()
    let (recent, isAway) = state.withLock { state -> ((any Error)?, Bool) in
      if isGlance, let glance = state.glance, begin < glance.end { return (glance.failure, true) }
      guard let failure = state.failure else { return (nil, false) }
      if begin - state.asked < pause { return (failure, true) }
      // One asks; the others go on as before until it has an answer.
      if !isGlance { state.asked = begin }
      return (nil, true)
    }
    if let recent { throw recent }
    do {
      let result = try body(isAway ? RetrySchedule(total: .zero) : retries)
      state.withLock { ($0.failure, $0.glance) = (nil, nil) }
      return result
    } catch {
      let end = now()
      let isSilent = (error as? TransferError)?.isTransient == true
      state.withLock { state in
        if !isSilent {
          (state.failure, state.glance) = (nil, nil)
        } else if isGlance {
          state.glance = (failure: error, end: end + (end - begin))
        } else {
          (state.failure, state.asked) = (error, end)
        }
      }
      throw error
    }
  }
}
