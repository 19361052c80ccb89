import BackupModel
import Scheduling
import Testing

@testable import Monitoring

@Suite("Conditions of jobs") struct JobRulesTests {
  /// A Sunday, at midnight.
  static let midnight = Timestamp(year: 2026, month: 11, day: 1, hour: 0, minute: 0, second: 0) ?? .now()

  static func job(
    _ schedule: String? = "0 2 * * *", makes: BackupClass? = .physical, promised: Int? = nil,
    deadline: Duration = .seconds(86400)
  ) throws -> MonitoredJob {
    MonitoredJob(
      id: JobID(unchecked: "nightly"), kind: "physical", cluster: ClusterID(unchecked: "oauth"),
      timetable: try schedule.map { Timetable(schedule: try CronExpression($0), zone: .utc) }, deadline: deadline,
      makes: makes, promisedCount: promised)
  }

  static func run(
    at time: Timestamp, _ outcome: RunOutcome = .succeeded, minutes: Int = 10, attempts: Int? = nil,
    total: Int64? = nil, new: Int64? = nil, stored: Int64? = nil
  ) -> RunRecord {
    var record = RunRecord(
      run: RunID(started: time), job: JobID(unchecked: "nightly"), kind: "physical",
      cluster: ClusterID(unchecked: "oauth"), trigger: .schedule, due: time, started: time)
    record.finished = time + .seconds(minutes * 60)
    record.outcome = outcome
    record.attempts = attempts
    record.totalBytes = total.map { ByteCount($0) }
    record.newBytes = new.map { ByteCount($0) }
    record.storedBytes = stored.map { ByteCount($0) }
    return record
  }

  private static func hours(_ hours: Double) -> Timestamp { midnight + .seconds(Int64(hours * 3600)) }

  private static func due(
    _ job: MonitoredJob, _ runs: [RunRecord], since: Timestamp = midnight, live: RunRecord? = nil, at now: Timestamp
  ) -> Timestamp? {
    let observation = JobObservation(
      job, runs: runs, live: live, lastSuccess: runs.first { $0.outcome == .succeeded }?.finished,
      configuredSince: since)
    return JobRules.successDue(observation, now, MonitorSettings(grace: .seconds(300)))
  }

  @Test("a success must be there after the next time of the schedule and what a run takes") func deadMan() throws {
    let nightly = try Self.job()
    // No run yet: due at 2:00, an hour allowed, five minutes of grace.
    #expect(Self.due(nightly, [], at: Self.hours(1)) == Self.hours(3) + .seconds(300))
    // A success at 2:00 is good until 3:05 of the next day.
    let success = Self.run(at: Self.hours(2))
    #expect(Self.due(nightly, [success], at: Self.hours(5)) == Self.hours(27) + .seconds(300))
    // Runs that failed since change nothing.
    let failure = Self.run(at: Self.hours(26), .failed)
    #expect(Self.due(nightly, [failure, success], at: Self.hours(30)) == Self.hours(27) + .seconds(300))
    // Runs of four hours may take eight.
    let long = Self.run(at: Self.hours(2), minutes: 240)
    #expect(Self.due(nightly, [long], at: Self.hours(5)) == Self.hours(34) + .seconds(300))
    // Not beyond the deadline.
    let strict = try Self.job(deadline: .seconds(7200))
    #expect(Self.due(strict, [long], at: Self.hours(5)) == Self.hours(28) + .seconds(300))
    #expect(Self.due(try Self.job(nil), [], at: Self.hours(99)) == nil, "by hand only")
    #expect(Self.due(try Self.job("0 0 30 2 *"), [], at: Self.hours(99)) == nil, "a day that never comes")
  }

  @Test("of a job every five minutes it is soon missed") func frequent() throws {
    let often = try Self.job("*/5 * * * *")
    let success = Self.run(at: Self.midnight, minutes: 0)
    // Due at 0:05, five minutes allowed, five of grace.
    #expect(Self.due(often, [success], at: Self.hours(1)) == Self.midnight + .seconds(900))
  }

  @Test("a run that goes on has the time it usually takes, one of a new job its deadline") func goingOn() throws {
    let nightly = try Self.job()
    let live = Self.run(at: Self.hours(30))
    #expect(
      Self.due(nightly, [Self.run(at: Self.hours(2))], live: live, at: Self.hours(31)) == Self.hours(31) + .seconds(300)
    )
    #expect(Self.due(nightly, [], live: live, at: Self.hours(31)) == Self.hours(54) + .seconds(300))
  }

  @Test("a new schedule and a wrong clock miss nothing that was never due") func clocks() throws {
    let nightly = try Self.job()
    let old = Self.run(at: Self.hours(2))
    // Configured anew three days later.
    #expect(Self.due(nightly, [old], since: Self.hours(75), at: Self.hours(76)) == Self.hours(99) + .seconds(300))
    // The clock was a year ahead when it last succeeded.
    let future = Self.run(at: Self.hours(24 * 365))
    #expect(Self.due(nightly, [future], at: Self.hours(3)) == Self.hours(27) + .seconds(300))
  }

  @Test("a daemon that was off says so when it is back") func wasOff() throws {
    let observation = JobObservation(
      try Self.job(), runs: [Self.run(at: Self.hours(2))], lastSuccess: Self.hours(2.1), configuredSince: Self.midnight)
    func verdict(_ hours: Double) -> Verdict {
      Verdict(JobRules.noSuccess(observation, Self.hours(hours), MonitorSettings()))
    }
    #expect(verdict(27) == .right)
    #expect(verdict(24 * 14) == .critical)
  }

  @Test(
    "retries pile up where most of the last runs needed them",
    arguments: [
      ([], Verdict.right), ([2], .right), ([2, 2], .unclear), ([2, 2, 2], .warning), ([1, 1, 2, 2, 3], .warning),
      ([1, 1, 1, 1, 2, 2, 2, 2], .right), ([1, 1, 1, 2, 2, 2], .unclear), ([1, 1, 1, 1, 1], .right),
    ] as [([Int], Verdict)])
  func retries(attempts: [Int], verdict: Verdict) throws {
    let runs = attempts.map { Self.run(at: Self.midnight, attempts: $0 > 1 ? $0 : nil) }
    let observation = JobObservation(try Self.job(), runs: runs, configuredSince: Self.midnight)
    #expect(Verdict(JobRules.retries(observation)) == verdict)
  }

  @Test("records that cannot be read are told") func history() {
    var observations = Observations(now: Self.midnight)
    #expect(Verdict(JobRules.history(observations)) == .right)
    observations.historyProblem = ErrorReport(summary: "could not read the state file \"x\"")
    #expect(Verdict(JobRules.history(observations)) == .warning)
  }
}
