public import BackupModel

/// What of the judgements becomes a condition: only what lasts, and nothing twice. A value; clocks are given to it.
///
/// One that is raised ends after it was right for a while without a break, and never becomes less severe before: what goes
/// up and down around a threshold is told once.
public struct Hysteresis: Sendable {
  /// What follows from a look.
  public struct Change: Sendable, Hashable {
    public var raise: [Condition] = []
    public var resolve: [String] = []
    /// When something that waits will be due, if it stays as it is.
    public var next: Duration?
  }

  private struct Since {
    var wall: Timestamp
    var uptime: Duration
  }

  public var interval: Duration
  /// How long it must be right before it is over.
  private var settle: Duration { interval * 2 }
  private var wrong: [String: Since] = [:]
  private var right: [String: Duration] = [:]

  public init(interval: Duration) { self.interval = interval }

  /// - Parameters:
  ///   - raised: The conditions raised now, by whomever.
  ///   - now: For the time since when.
  ///   - uptime: Of a clock that nobody sets.
  public mutating func take(
    _ judgements: [Judgement], raised: [Condition], now: Timestamp, uptime: Duration
  ) -> Change {
    var change = Change()
    let known = Dictionary(raised.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    var names = Set(known.keys)
    for judgement in judgements {
      switch judgement.state {
      case .wrong(let severity, let report):
        right[judgement.id] = nil
        let condition = Condition(id: judgement.id, severity: severity, since: now, report: report)
        if let old = known[judgement.id] {
          if let worse = Self.update(old, to: condition) { change.raise.append(worse) }
        } else if !judgement.isExplained(by: names) {
          wait(condition, judgement.delay, now, uptime, &names, &change)
        }
      case .right:
        wrong[judgement.id] = nil
        if known[judgement.id] != nil { settle(judgement.id, uptime, &change) }
      case .unclear:
        wrong[judgement.id] = nil
        right[judgement.id] = nil
      }
    }
    let orphans = Self.orphans(names: known.keys, judgements)
    change.resolve += orphans
    for id in orphans { right[id] = nil }
    let judged = Set(judgements.map(\.id))
    wrong = wrong.filter { judged.contains($0.key) }
    return change
  }

  /// Raised, and of something that is not there any more.
  private static func orphans(names: some Sequence<String>, _ judgements: [Judgement]) -> [String] {
    let judged = Set(judgements.map(\.id))
    let held = judgements.map(\.id).filter { $0.last == "*" }.map { $0.dropLast() }
    return names.filter { name in
      !judged.contains(name) && ConditionKind.isOwn(name) && !held.contains { name.hasPrefix($0) }
    }.sorted()
  }

  /// What it is now; nil where nobody needs to know.
  private static func update(_ old: Condition, to new: Condition) -> Condition? {
    var new = new
    if old.severity == .critical { new.severity = .critical }
    return new.severity != old.severity || new.report != old.report ? new : nil
  }

  private mutating func wait(
    _ condition: Condition, _ delay: Double, _ now: Timestamp, _ uptime: Duration, _ names: inout Set<String>,
    _ change: inout Change
  ) {
    let since = wrong[condition.id] ?? Since(wall: now, uptime: uptime)
    wrong[condition.id] = since
    let left = interval * delay - (uptime - since.uptime)
    guard left <= .zero else {
      change.next = min(change.next ?? left, left)
      return
    }
    wrong[condition.id] = nil
    var condition = condition
    condition.since = min(since.wall, now)
    change.raise.append(condition)
    names.insert(condition.id)
  }

  private mutating func settle(_ id: String, _ uptime: Duration, _ change: inout Change) {
    let since = right[id] ?? uptime
    right[id] = since
    let left = settle - (uptime - since)
    if left <= .zero {
      right[id] = nil
      change.resolve.append(id)
    } else {
      change.next = min(change.next ?? left, left)
    }
  }
}
