public import BlockingWork

/// How often and how long something is tried again that may only have been bad luck.
public struct RetrySchedule: Sendable {
  public enum Advice: Sendable {
    case giveUp
    /// - Parameter after: What the server asked for, if it did.
    case again(after: Duration?)

    /// What an error says of itself.
    public init(_ error: any Error) {
      if let error = error as? any RemoteError, error.isTransient {
        self = .again(after: error.retryAfter)
      } else {
        self = .giveUp
      }
    }
  }
  /// From the first attempt to the beginning of the last one; zero for a single attempt.
  ///
  /// Otherwise there are two at least: a first one that stalled may have taken all of this time by itself.
  public var total: Duration
  public var first: Duration
  public var longest: Duration
  /// How much later than that the last attempt may be, where the server asks for it.
  public var beyond: Duration

  public init(
    total: Duration = .seconds(30), first: Duration = .milliseconds(200), longest: Duration = .seconds(10),
    beyond: Duration = .seconds(60)
  ) {
    self.total = total
    self.first = first
    self.longest = longest
    self.beyond = beyond
  }

  /// Runs `body` until it succeeds or is not worth another attempt.
  ///
  /// Waits a random time up to a bound that doubles ("full jitter"), so that those who failed together do not come back
  /// together.
  /// - Parameters:
  ///   - advice: What to do about an error.
  ///   - body: Told which attempt it is, from 0.
  /// - Throws: The last attempt's error; `CancellationError`.
  public func run<Result>(
    _ cancellation: Cancellation, advice: (any Error) -> Advice, _ body: (_ attempt: Int) throws -> Result
  ) throws -> Result {
    let deadline = ContinuousClock.now + total
    var bound = first
    var attempt = 0
    var mayBeLate = total > .zero
    while true {
      do {
        try cancellation.check()
        return try body(attempt)
      } catch {
        guard case .again(let wanted) = advice(error) else { throw error }
        let left = deadline - .now
        var wait = max(wanted ?? .zero, bound * Double.random(in: 0...1))
        let isFirst = attempt == 0 && wait < total
        if !isFirst, wait >= left {
          // A server that says when to come back is heard once, or all that failed together would be given up together.
          guard wanted != nil, mayBeLate else { throw error }
          mayBeLate = false
          wait = min(wait, max(left, .zero) + beyond)
        }
        try cancellation.sleep(wait)
        bound = min(bound * 2, longest)
        attempt += 1
      }
    }
  }
}
