internal import BackupModel
internal import Scheduling

/// The next times of a job's schedule from one instant on. Dear to compute for a schedule that is rarely due.
struct ScheduleFacts: Sendable, Hashable {
  let timetable: Timetable
  /// When the last success began, or since when the job is configured.
  let base: Timestamp
  /// The first time after it, and how long after that the next one is; nil where there is none.
  let due: Timestamp?
  let period: Duration?
  /// The longest time between two of the next nine; nil where there are not two.
  let longestGap: Duration?

  init(_ timetable: Timetable, from base: Timestamp) {
    self.timetable = timetable
    self.base = base
    var times: [Timestamp] = []
    while times.count < 9, let next = timetable.schedule.next(after: times.last ?? base, in: timetable.zone) {
      times.append(next)
    }
    due = times.first
    let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
    period = gaps.first
    longestGap = gaps.max()
  }
}

extension JobObservation {
  /// Nil without a schedule.
  func schedule(_ now: Timestamp) -> ScheduleFacts? {
    guard let timetable = job.timetable else { return nil }
    let success = runs.first { $0.outcome == .succeeded }
    // A clock that was ahead when it succeeded must not silence us until it is that late again.
    let began = min(success?.started ?? lastSuccess ?? configuredSince, now)
    let base = max(began, min(configuredSince, now))
    if let known, known.base == base, known.timetable == timetable { return known }
    return ScheduleFacts(timetable, from: base)
  }
}
