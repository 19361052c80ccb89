public import BackupModel
internal import Scheduling

/// What is wrong with jobs, from their schedules and the records of their runs. Of any kind.
public enum JobRules {
  /// Of so many runs, so many needed more than one attempt.
  private static let looksAt = 5
  private static let many = 3
  private static let few = 1

  public static func judge(_ observations: Observations) -> [Judgement] {
    observations.jobs.flatMap { job in
      [noSuccess(job, observations.now, observations.settings), retries(job)]
    } + [history(observations)]
  }

  // MARK: Dead man

  /// By when the next success of a job must be there: the first time of its schedule after the last success began, and
  /// what a run takes. Nil without a schedule.
  ///
  /// A daemon that was off had nobody look; the times passed all the same.
  public static func successDue(_ job: JobObservation, _ now: Timestamp, _ settings: MonitorSettings) -> Timestamp? {
    guard let schedule = job.schedule(now), let due = schedule.due else { return nil }
    let allowed = allowance(job, schedule)
    var end = due + schedule.timetable.jitter + allowed
    if let live = job.live {
      // What goes on may still succeed, for as long as it usually takes; one that never did, until its deadline.
      let usual = job.runs.contains { $0.outcome == .succeeded } ? allowed : job.job.deadline
      end = max(end, live.started + usual)
    }
    return end + settings.grace
  }

  /// What a run may take: twice the longest of the last ones, at least as much as lies between two, up to an hour.
  static func allowance(_ job: JobObservation, _ schedule: ScheduleFacts) -> Duration {
    let longest =
      job.runs.filter { $0.outcome == .succeeded }.prefix(10)
      .compactMap { run in run.finished.map { $0 - run.started } }.max() ?? .zero
    return min(job.job.deadline, max(longest * 2, min(schedule.period ?? .seconds(3600), .seconds(3600))))
  }

  static func noSuccess(_ job: JobObservation, _ now: Timestamp, _ settings: MonitorSettings) -> Judgement {
    let id = ConditionKind.noSuccess.id("\(job.job.id)")
    guard let due = successDue(job, now, settings), due < now else { return Judgement(id, .right) }
    let last =
      job.lastSuccess.map { "It last succeeded at \($0.wholeSeconds)." }
      ?? "It has not succeeded since it is configured, \(job.configuredSince.wholeSeconds) at the latest."
    let report = ErrorReport(
      summary: "job \"\(job.job.id)\" has not succeeded in time",
      detail:
        "By its schedule, \"\(job.job.timetable?.schedule.text ?? "")\", it should have by \(due.wholeSeconds). \(last)",
      hint: "See \"backupctl runs \(job.job.id)\", or run it now: \"backupctl run \(job.job.id)\".")
    // That it fails is told with the reason already.
    return Judgement(id, .wrong(.critical, report), delay: 1, causes: ["job:\(job.job.id)", "stuck:\(job.job.id)"])
  }

  // MARK: Retries

  static func retries(_ job: JobObservation) -> Judgement {
    let id = ConditionKind.retries.id("\(job.job.id)")
    let last = job.runs.filter { $0.outcome != .skipped && $0.outcome != .cancelled }.prefix(looksAt)
    let tried = last.filter { ($0.attempts ?? 1) > 1 }
    if tried.count <= few { return Judgement(id, .right) }
    guard tried.count >= many else { return Judgement(id, .unclear) }
    let report = ErrorReport(
      summary: "runs of job \"\(job.job.id)\" succeed only after several attempts, or not at all",
      detail: "\(tried.count) of the last \(last.count) were tried more than once."
        + (tried.first?.warnings.first.map { " The last time: \($0)." } ?? ""),
      hint: "See \"backupctl runs \(job.job.id)\" for what failed before it becomes all of them.")
    return Judgement(id, .wrong(.warning, report), causes: ["job:\(job.job.id)"])
  }

  // MARK: Records

  static func history(_ observations: Observations) -> Judgement {
    let id = ConditionKind.history.id()
    guard let problem = observations.historyProblem else { return Judgement(id, .right) }
    let report = ErrorReport(
      summary: "records of runs cannot be read: \(problem.summary)", detail: problem.detail,
      hint: "Conditions that look at earlier runs may be missing or late. Remove the line or file that is named.")
    return Judgement(id, .wrong(.warning, report))
  }
}
