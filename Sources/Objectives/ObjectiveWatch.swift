public import BackupModel

/// Judges one objective from sample to sample, so that what wavers around the limit is told once.
///
/// A value; the clock is given to it, and is one that nobody sets.
public struct ObjectiveWatch: Sendable {
  /// Better for so long before it counts as mended.
  public static let calm: Duration = .seconds(60)
  /// Growing for so long before more of it is foreseen: a store is behind by its interval all the time.
  public static let trend: Duration = .seconds(30)
  /// A miss is told when it shows twice in a row.
  static let confirmations = 2

  public private(set) var state: ObjectiveState
  /// In how many seconds the objective is missed at this rate; nil where nothing says so.
  public private(set) var breachSeconds: Double?
  private var better: Duration?
  private var misses = 0
  /// Since the value last fell.
  private var growing: (since: Duration, from: Double)?
  private var last: Double?

  /// - Parameter state: What was told before this process began.
  public init(_ state: ObjectiveState = .unknown) { self.state = state }

  /// Before a miss is foreseen so near it is nobody's concern.
  static func horizon(_ objective: Double) -> Double { min(objective * 0.4, 1800) }

  /// - Parameters:
  ///   - value: Seconds attained; infinity where nothing is attained at all; nil where nobody knows, which changes nothing.
  ///   - objective: Seconds.
  ///   - reliefSeconds: When something is due after which the value falls again, such as the next backup.
  public mutating func note(_ value: Double?, objective: Double, at uptime: Duration, reliefSeconds: Double? = nil) {
    guard let value else {
      breachSeconds = nil
      return
    }
    forecast(value, objective, uptime, reliefSeconds)
    let found: ObjectiveState = value > objective ? .missed : breachSeconds == nil ? .met : .endangered
    misses = found == .missed ? misses + 1 : 0
    settle(found == .missed && misses < Self.confirmations ? state : found, at: uptime)
  }

  /// What a clock gains by itself: nothing new is there to restore.
  private mutating func forecast(_ value: Double, _ objective: Double, _ uptime: Duration, _ relief: Double?) {
    defer { last = value }
    breachSeconds = nil
    if last.map({ value < $0 }) ?? true { growing = (uptime, value) }
    guard let growing, value <= objective else { return }
    let span = (uptime - growing.since).secondsValue
    guard span >= Self.trend.secondsValue, value > growing.from else { return }
    let left = (objective - value) / ((value - growing.from) / span)
    if let relief, relief < left { return }
    if left <= Self.horizon(objective) { breachSeconds = left }
  }

  private mutating func settle(_ found: ObjectiveState, at uptime: Duration) {
    func rank(_ state: ObjectiveState) -> Int { [.unknown: 0, .met: 0, .endangered: 1, .missed: 2][state] ?? 0 }
    guard rank(found) < rank(state) else {
      state = found
      better = nil
      return
    }
    let since = better ?? uptime
    better = since
    if uptime - since >= Self.calm {
      state = found
      better = nil
    }
  }
}
