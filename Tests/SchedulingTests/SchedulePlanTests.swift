import BackupModel
import Testing

@testable import Scheduling

@Suite("A plan of jobs") struct SchedulePlanTests {
  static let job = JobID(unchecked: "j")
  static func at(_ text: String) throws -> Timestamp { try Timestamp(rfc3339: "2026-11-\(text):00Z") }
  static func timetable(
    _ schedule: String, missed: MissedRuns = .once, jitter: Duration = .zero
  ) throws -> Timetable {
    Timetable(schedule: try CronExpression(schedule), zone: .utc, jitter: jitter, missed: missed)
  }

  /// A plan with one job, and clocks that go together unless they are told otherwise.
  struct Clocks {
    var plan = SchedulePlan()
    var wall: Timestamp
    var uptime: Duration = .seconds(1000)

    mutating func due() -> SchedulePlan.Outcome { plan.due(at: wall, uptime: uptime) }
    /// Time passes.
    mutating func pass(_ duration: Duration) -> SchedulePlan.Outcome {
      wall = wall + duration
      uptime += duration
      return due()
    }
    /// Somebody sets the wall clock.
    mutating func set(by step: Duration) -> SchedulePlan.Outcome {
      wall = wall + step
      return due()
    }
  }

  private func start(
    _ text: String, _ schedule: String, lastDue: Timestamp? = nil, missed: MissedRuns = .once, jitter: Duration = .zero
  ) throws -> Clocks {
    var clocks = Clocks(wall: try Self.at(text))
    clocks.plan.set(
      Self.job, try Self.timetable(schedule, missed: missed, jitter: jitter), lastDue: lastDue, now: clocks.wall)
    _ = clocks.due()
    return clocks
  }

  @Test("runs each time once, when it comes")
  func ordinary() throws {
    var clocks = try start("02T11:59", "0 * * * *")
    #expect(clocks.plan.wake == (try Self.at("02T12:00")))
    #expect(clocks.pass(.seconds(59)).due == [])
    let due = clocks.pass(.seconds(1)).due
    #expect(due == [.init(job: Self.job, due: try Self.at("02T12:00"), runs: true, isLate: false, passed: nil)])
    #expect(clocks.pass(.seconds(1)).due == [])
    #expect(clocks.plan.wake == (try Self.at("02T13:00")))
  }

  @Test("runs once for all times that passed, and says how many these were")
  func missedOnce() throws {
    var clocks = try start("02T11:30", "0 * * * *", lastDue: try Self.at("02T07:00"))
    // The plan was made at once when the daemon started: 8, 9, 10 and 11 had passed.
    clocks = Clocks(wall: clocks.wall)
    clocks.plan.set(Self.job, try Self.timetable("0 * * * *"), lastDue: try Self.at("02T07:00"), now: clocks.wall)
    let due = clocks.due().due
    let passed = SchedulePlan.Passed(first: try Self.at("02T08:00"), last: try Self.at("02T10:00"), count: 3)
    #expect(due == [.init(job: Self.job, due: try Self.at("02T11:00"), runs: true, isLate: true, passed: passed)])
    #expect(clocks.plan.wake == (try Self.at("02T12:00")))
  }

  @Test("runs none of the times that passed where they are to be skipped, but the one that is not late")
  func missedSkip() throws {
    var clocks = Clocks(wall: try Self.at("02T11:30"))
    let timetable = try Self.timetable("0 * * * *", missed: .skip)
    clocks.plan.set(Self.job, timetable, lastDue: try Self.at("02T07:00"), now: clocks.wall)
    let all = SchedulePlan.Passed(first: try Self.at("02T08:00"), last: try Self.at("02T11:00"), count: 4)
    #expect(
      clocks.due().due == [.init(job: Self.job, due: try Self.at("02T11:00"), runs: false, isLate: true, passed: all)])
    clocks = Clocks(wall: try Self.at("02T11:00") + .seconds(30))
    clocks.plan.set(Self.job, timetable, lastDue: try Self.at("02T07:00"), now: clocks.wall)
    let before = SchedulePlan.Passed(first: try Self.at("02T08:00"), last: try Self.at("02T10:00"), count: 3)
    #expect(
      clocks.due().due == [
        .init(job: Self.job, due: try Self.at("02T11:00"), runs: true, isLate: false, passed: before)
      ])
  }

  @Test("takes sleep of the host, and a clock set forward, for time that passed")
  func forward() throws {
    var clocks = try start("02T11:30", "0 * * * *")
    #expect(clocks.pass(.seconds(5 * 3600)).due.map(\.due) == [try Self.at("02T16:00")])
    let due = clocks.set(by: .seconds(30 * 60)).due
    #expect(due.map(\.due) == [try Self.at("02T17:00")] && due.allSatisfy { $0.runs })
    let far = clocks.set(by: .seconds(86400 + 120)).due
    #expect(far.map(\.passed?.count) == [23] && far.allSatisfy { $0.runs && $0.isLate })
  }

  @Test("repeats nothing when the clock is set back a little")
  func backALittle() throws {
    var clocks = try start("02T11:59", "0 * * * *")
    #expect(clocks.pass(.seconds(120)).due.count == 1)
    let outcome = clocks.set(by: .seconds(-7200))
    #expect(outcome.due == [] && outcome.correction == nil)
    #expect(clocks.plan.wake == (try Self.at("02T13:00")))
    #expect(clocks.pass(.seconds(2 * 3600)).due == [])
    #expect(clocks.pass(.seconds(3600)).due.map(\.due) == [try Self.at("02T13:00")])
  }

  @Test("begins anew where the clock was wrong by hours, so that nothing waits for a future that never comes")
  func corrected() throws {
    var clocks = try start("02T11:59", "0 * * * *")
    _ = clocks.set(by: .seconds(40 * 86400))
    let outcome = clocks.set(by: .seconds(-40 * 86400))
    #expect(outcome.correction == .seconds(40 * 86400) && outcome.due == [])
    #expect(clocks.pass(.seconds(60)).due.map(\.due) == [try Self.at("02T12:00")])
    // The same, found in a state file after a restart.
    var later = SchedulePlan()
    let wrong = try Self.at("28T00:00")
    #expect(later.set(Self.job, try Self.timetable("0 * * * *"), lastDue: wrong, now: clocks.wall))
    #expect(later.wake == (try Self.at("02T13:00")))
    #expect(!later.set(Self.job, try Self.timetable("0 * * * *"), lastDue: try Self.at("02T14:00"), now: clocks.wall))
    #expect(later.wake == (try Self.at("02T15:00")))
  }

  @Test("begins runs later by what job and time say, never earlier, and the same after a restart")
  func jitter() throws {
    var starts: Set<Timestamp> = []
    for number in 0..<50 {
      let job = JobID(unchecked: "job-\(number)")
      var plan = SchedulePlan()
      let timetable = try Self.timetable("0 * * * *", jitter: .seconds(600))
      plan.set(job, timetable, lastDue: nil, now: try Self.at("02T11:30"))
      let start = try #require(plan.start(of: job))
      let time = try Self.at("02T12:00")
      #expect(start >= time && start < time + .seconds(600))
      var again = SchedulePlan()
      again.set(job, timetable, lastDue: try Self.at("02T11:00"), now: try Self.at("02T11:59"))
      #expect(again.start(of: job) == start)
      #expect(plan.due(at: start - .seconds(1), uptime: .zero).due == [])
      let due = plan.due(at: start, uptime: .seconds(1)).due
      #expect(due == [.init(job: job, due: try Self.at("02T12:00"), runs: true, isLate: false, passed: nil)])
      starts.insert(start)
    }
    #expect(starts.count > 30)
  }

  @Test("counts a lost year of minutes without end and without trouble")
  func longAway() throws {
    var clocks = Clocks(wall: try Self.at("02T11:30"))
    let lastDue = clocks.wall - .seconds(400 * 86400)
    clocks.plan.set(Self.job, try Self.timetable("* * * * *"), lastDue: lastDue, now: clocks.wall)
    let due = clocks.due().due
    #expect(due.count == 1 && due[0].due == clocks.wall && due[0].passed?.count == SchedulePlan.countLimit)
  }
}
