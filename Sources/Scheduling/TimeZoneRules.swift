public import BackupModel

/// A time zone: which offset from UTC holds when, from the system's zone files.
/// - SeeAlso: RFC 8536, "The Time Zone Information Format (TZif)".
public struct TimeZoneRules: Sendable, Hashable, CustomStringConvertible {
  /// `Europe/Berlin`, `UTC`, or the `TZ` rule itself.
  public let name: String
  /// When the offset changes, rising, and what it is from then on.
  let transitions: [Transition]
  /// Holds before the first transition.
  let initialOffset: Int
  /// Holds after the last transition; nil where the last offset stays.
  let footer: PosixZone?

  struct Transition: Sendable, Hashable {
    var at: Int64
    var offset: Int
  }

  init(name: String, transitions: [Transition], initialOffset: Int, footer: PosixZone?) {
    self.name = name
    self.transitions = transitions
    self.initialOffset = initialOffset
    self.footer = footer
  }

  public static let utc = TimeZoneRules(name: "UTC", transitions: [], initialOffset: 0, footer: nil)

  public var description: String { name }

  /// Seconds east of UTC.
  public func utcOffset(at time: Timestamp) -> Int { offset(at: time.seconds) }

  /// The instants at which this zone's clock shows a date and time: one; none where the clock skips it; two, earlier
  /// first, where it shows it twice. A text that names its own offset has exactly one.
  public func instants(ofLocal text: CivilText) -> [Timestamp] {
    if let offset = text.offsetSeconds {
      return [Timestamp(microseconds: text.asUTC.microseconds &- Int64(offset) &* 1_000_000)]
    }
    let local = text.asUTC.seconds
    var instants: [Timestamp] = []
    // Offsets lie within a day and a bit of UTC: every offset that could apply is in force somewhere in this window.
    var time = local - 27 * 3600
    while time <= local + 27 * 3600 {
      let span = span(at: time)
      let instant = local - Int64(span.offset)
      if instant >= time, instant < span.end ?? .max {
        instants.append(Timestamp(microseconds: instant * 1_000_000 + text.asUTC.subsecondMicroseconds))
      }
      guard let end = span.end else { break }
      time = end
    }
    return instants
  }

  /// A stretch of time with one offset.
  struct Span {
    var offset: Int
    /// The first second after it; nil where it lasts.
    var end: Int64?
    /// How it began; nil at the beginning of time, or where the clock changed by three hours or more.
    var jump: Jump?
  }

  /// A change of the clock at the second `at`.
  struct Jump {
    var at: Int64
    /// What the clock would have shown at `at` without the change, and what it shows.
    var localBefore, localAfter: Int64
    var isForward: Bool { localAfter > localBefore }
  }

  func offset(at time: Int64) -> Int {
    if let footer, time >= transitions.last?.at ?? .min { return footer.offset(at: time) }
    let later = firstTransition(after: time)
    return later == 0 ? initialOffset : transitions[later - 1].offset
  }

  func span(at time: Int64) -> Span {
    let offset = offset(at: time)
    var span = Span(offset: offset, end: nil, jump: nil)
    let changes = changes(around: time)
    if let next = changes.first(where: { $0.at > time }) { span.end = next.at }
    guard let began = changes.last(where: { $0.at <= time }) else { return span }
    let before = self.offset(at: began.at - 1)
    if before != offset, abs(before - offset) < 3 * 3600 {
      span.jump = Jump(at: began.at, localBefore: began.at + Int64(before), localAfter: began.at + Int64(offset))
    }
    return span
  }

  /// The transitions next to `time` on either side, more where they come from the footer's rule.
  private func changes(around time: Int64) -> [Transition] {
    let later = firstTransition(after: time)
    var near = Array(transitions[max(later - 1, 0)..<min(later + 1, transitions.count)])
    if let footer, later == transitions.count {
      let last = transitions.last?.at ?? .min
      near += footer.transitions(around: time).filter { $0.at > last }.map { Transition(at: $0.at, offset: $0.offset) }
    }
    return near
  }

  /// The index of the first transition after `time`, by halving.
  private func firstTransition(after time: Int64) -> Int {
    var low = 0
    var high = transitions.count
    while low < high {
      let middle = (low + high) / 2
      if transitions[middle].at <= time { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
