internal import BlockingWork
import Synchronization

/// Holds back transfers so that together they keep below a rate, averaged over their own length.
public final class BandwidthLimit: Sendable {
  /// Bytes a second.
  public let rate: Int
  private let line: Mutex<BandwidthLine>
  private let changed = Signal()

  /// - Parameter rate: Bytes a second, above zero.
  public init(rate: Int) {
    precondition(rate > 0)
    self.rate = rate
    line = Mutex(BandwidthLine(rate: rate, at: .now))
  }

  /// Returns when `count` bytes may go; none may at once, whoever waits.
  /// - Returns: What ``end(_:moved:)`` is given, however the transfer ends.
  /// - Throws: `CancellationError`.
  func begin(_ count: Int, _ cancellation: Cancellation) throws -> BandwidthLine.Share {
    if count == 0 { return line.withLock { $0.take(0, at: .now) } }
    let turn = line.withLock { $0.join() }
    let handler = cancellation.addHandler { [changed] in changed.raise() }
    defer { cancellation.removeHandler(handler) }
    do {
      while true {
        try cancellation.check()
        let before = changed.value
        switch line.withLock({ $0.ask(turn, for: count, at: .now) }) {
        case .go(let share):
          changed.raise()
          return share
        case .wait(let time): changed.wait(after: before, for: time)
        }
      }
    } catch {
      line.withLock { $0.leave(turn) }
      changed.raise()
      throw error
    }
  }

  /// - Parameter moved: Bytes that really went and came.
  func end(_ share: BandwidthLine.Share, moved: Int64) {
    line.withLock { $0.end(share, moved: moved, at: .now) }
    changed.raise()
  }
}

/// A line that carries so many bytes a second, for one transfer after another: the arithmetic, without the waiting.
struct BandwidthLine {
  typealias Instant = ContinuousClock.Instant

  /// Room for so many bytes, which is over at the end.
  struct Share {
    var bytes: Int
    var end: Instant
  }
  enum Answer {
    case go(Share)
    /// To ask again then, or once something has changed.
    case wait(Duration)
  }

  private let rate: Int
  /// When all that was let go has gone.
  private var free: Instant
  private var waiting: [Int] = []
  private var turns = 0

  init(rate: Int, at now: Instant) {
    self.rate = rate
    free = now
  }

  /// - Returns: A turn behind those who wait already.
  mutating func join() -> Int {
    turns += 1
    waiting.append(turns)
    return turns
  }

  mutating func leave(_ turn: Int) { waiting.removeAll { $0 == turn } }

  mutating func ask(_ turn: Int, for count: Int, at now: Instant) -> Answer {
    guard waiting.first == turn else { return .wait(.seconds(3600)) }
    if free > now { return .wait(free - now) }
    waiting.removeFirst()
    return .go(take(count, at: now))
  }

  /// Takes room out of turn.
  mutating func take(_ count: Int, at now: Instant) -> Share {
    free = max(free, now) + time(Int64(count))
    return Share(bytes: count, end: free)
  }

  /// Gives back what was taken too much, and takes what was taken too little.
  mutating func end(_ share: Share, moved: Int64, at now: Instant) {
    let rest = time(Int64(share.bytes)) - time(moved)
    // What is over already nobody can use any more.
    free = free - min(rest, max(.zero, share.end - now))
  }

  private func time(_ count: Int64) -> Duration { .microseconds(count * 1_000_000 / Int64(rate)) }
}
