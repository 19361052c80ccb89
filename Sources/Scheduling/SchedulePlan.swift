public import BackupModel

/// What happens to times that passed while nothing could begin: one run takes place for all of them, or none.
public enum MissedRuns: String, Sendable, Hashable, CaseIterable { case once, skip }

/// When one job is due.
public struct Timetable: Sendable, Hashable {
  public var schedule: CronExpression
  public var zone: TimeZoneRules
  /// A run begins up to so much after its time; how much is fixed by job and time, so that a restart changes nothing.
  public var jitter: Duration
  public var missed: MissedRuns

  public init(
    schedule: CronExpression, zone: TimeZoneRules, jitter: Duration = .zero, missed: MissedRuns = .once
  ) {
    self.schedule = schedule
    self.zone = zone
    self.jitter = jitter
    self.missed = missed
  }

  func next(after time: Timestamp) -> Timestamp? { schedule.next(after: time, in: zone) }

  /// When the run for a time begins.
  func start(of job: JobID, due: Timestamp) -> Timestamp {
    let span = UInt64(max(0, jitter.components.seconds))
    guard span > 0 else { return due }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in "\(job) \(due.seconds)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    // The low bits of FNV-1a alone are weak.
    return due + .seconds(Int64((hash ^ hash >> 32) % span))
  }
}

/// Which jobs are due, whatever the clocks do: restarts, sleep, steps forward and back. A value; clocks are given to it.
///
/// A time is dealt with once: by a run, or by saying why there is none. Where the wall clock goes back by less than three
/// hours nothing is repeated; a larger step back is a correction, and what was planned by the wrong clock is planned anew.
/// - SeeAlso: `cron(8)` of Vixie cron: "changes of more than 3 hours are considered to be corrections to the clock".
public struct SchedulePlan: Sendable {
  /// What has become due of one job.
  public struct Due: Sendable, Hashable {
    public var job: JobID
    /// The newest time that has passed.
    public var due: Timestamp
    /// Whether a run begins for it.
    public var runs: Bool
    /// Whether that is later than it should be.
    public var isLate: Bool
    /// Times for which there is no run of their own, `due` among them where ``runs`` is false.
    public var passed: Passed?
  }

  /// Times between two of a timetable, both included.
  public struct Passed: Sendable, Hashable {
    public var first: Timestamp
    public var last: Timestamp
    /// At most ``SchedulePlan/countLimit``; more are not counted.
    public var count: Int
  }

  /// What has happened since the plan was asked last.
  public struct Outcome: Sendable {
    /// In the order of their times.
    public var due: [Due] = []
    /// How far the wall clock was corrected backwards; what is remembered of times in its future means nothing now.
    public var correction: Duration?
  }

  public static let countLimit = 10_000
  /// Nobody calls a run late that begins within this.
  static let grace: Duration = .seconds(60)
  static let correctionLimit: Duration = .seconds(3 * 3600)

  private struct Entry {
    var timetable: Timetable
    var next: Timestamp
    var start: Timestamp
  }

  private var entries: [JobID: Entry] = [:]
  private var seen: (wall: Timestamp, uptime: Duration)?

  public init() {}

  /// Plans a job, or plans it anew.
  /// - Parameter lastDue: The last time that was dealt with; nil begins now.
  /// - Returns: Whether `lastDue` lies so far ahead that only a wrong clock can have been there; it does not count then.
  @discardableResult
  public mutating func set(_ job: JobID, _ timetable: Timetable, lastDue: Timestamp?, now: Timestamp) -> Bool {
    let isWrong = lastDue.map { $0 - now > Self.correctionLimit } ?? false
    plan(job, timetable, after: isWrong ? now : lastDue ?? now)
    return isWrong
  }

  public mutating func remove(_ job: JobID) { entries[job] = nil }

  /// When the next run of a job begins; nil where it never does.
  public func start(of job: JobID) -> Timestamp? { entries[job]?.start }

  /// When to ask again at the latest; nil where nothing is planned.
  public var wake: Timestamp? { entries.values.lazy.map(\.start).min() }

  private mutating func plan(_ job: JobID, _ timetable: Timetable, after time: Timestamp) {
    guard let next = timetable.next(after: time) else {
      entries[job] = nil
      return
    }
    entries[job] = Entry(timetable: timetable, next: next, start: timetable.start(of: job, due: next))
  }

  /// What has become due.
  /// - Parameters:
  ///   - now: What the wall clock says.
  ///   - uptime: Of a clock that nobody sets and that goes on while the host sleeps.
  public mutating func due(at now: Timestamp, uptime: Duration) -> Outcome {
    var outcome = Outcome()
    if let seen {
      let step = (now - seen.wall) - (uptime - seen.uptime)
      if step < .zero - Self.correctionLimit {
        outcome.correction = .zero - step
        for (job, entry) in entries { plan(job, entry.timetable, after: now) }
      }
    }
    seen = (now, uptime)
    for (job, entry) in entries where entry.start <= now {
      let due = due(job, entry, now)
      outcome.due.append(due)
      plan(job, entry.timetable, after: due.due)
    }
    outcome.due.sort { ($0.due, $0.job) < ($1.due, $1.job) }
    return outcome
  }

  private func due(_ job: JobID, _ entry: Entry, _ now: Timestamp) -> Due {
    var newest = entry.next
    var before: Timestamp?
    var count = 1
    while let next = entry.timetable.next(after: newest), entry.timetable.start(of: job, due: next) <= now {
      (before, newest) = (newest, next)
      count = min(count + 1, Self.countLimit + 1)
    }
    let isLate = now - entry.timetable.start(of: job, due: newest) > Self.grace
    let runs = !isLate || entry.timetable.missed == .once
    var due = Due(job: job, due: newest, runs: runs, isLate: isLate, passed: nil)
    let last = runs ? before : newest
    if let last { due.passed = Passed(first: entry.next, last: last, count: runs ? count - 1 : count) }
    return due
  }
}
