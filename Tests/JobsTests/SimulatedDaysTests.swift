import BackupModel
import BlockingWork
import Foundation
import JobState
import Logging
import Repository
import Scheduling
import Storage
import Testing

@testable import Jobs

/// A run that takes a while of the manual clock, and fails now and then.
private struct SimulatedBody: JobBody {
  let clock: ManualClock
  let isExclusive: Bool
  /// Minutes it takes, by the minute it begins in.
  let minutes: @Sendable (Int64) -> Int64
  func accepts(_ other: any JobBody) -> Bool { false }

  func attempt(_ context: RunContext) async throws -> RunResult {
    let minute = clock.now.seconds / 60
    try await clock.sleep(for: .seconds(60 * minutes(minute)))
    if minute % 97 == 0 { throw JobsError.stopping }
    return RunResult()
  }
}

extension JobRunner {
  /// The schedule sleeps, each run sleeps, and so does the deadline of each that was not given up.
  fileprivate var expectedSleepers: Int { 1 + 2 * running.count + stuck.count }
}

/// The real runner for 72 days of a clock that tests drive, in which the daemon is down, the host sleeps and its clock is
/// set. Afterwards every time of every schedule is looked for in the records.
@Suite("In 72 days with a clock that misbehaves") struct SimulatedDaysTests {
  static let zone = try! TimeZoneRules(named: "Europe/Berlin")
  static let schedules: [(name: String, schedule: String, missed: MissedRuns, overlap: Overlap, group: LaneGroup)] = [
    ("hourly", "0 * * * *", .once, .queue, .backup), ("quarterly", "*/15 * * * *", .skip, .skip, .monitoring),
    ("nightly", "30 2 * * *", .once, .queue, .backup), ("weekly", "0 3 * * sun", .skip, .queue, .validation),
    ("monthly", "0 4 L * *", .once, .queue, .backup), ("friday", "0 12 * * 5#2", .once, .skip, .monitoring),
  ]

  private static func jobs(_ clock: ManualClock) throws -> JobSet {
    let jobs = try schedules.enumerated().map { index, item in
      Job(
        id: JobID(unchecked: item.name), kind: "physical", cluster: ClusterID(unchecked: "c\(index % 2)"),
        group: item.group,
        timetable: Timetable(
          schedule: try CronExpression(item.schedule), zone: zone, jitter: index == 2 ? .seconds(300) : .zero,
          missed: item.missed),
        deadline: .seconds(3 * 3600), retries: 1, overlap: item.overlap, rank: 50 - index,
        body: SimulatedBody(clock: clock, isExclusive: item.group == .backup) { minute in
          // Some take longer than their interval, a few longer than their deadline.
          minute % 211 == 0 ? 200 : minute % 31 == 0 ? 95 : 1 + minute % 11
        })
    }
    return JobSet(jobs: jobs, widths: [.backup: 2])
  }

  @Test("every time that was due has become a run, or is recorded with the reason why not", .timeLimit(.minutes(15)))
  func accounted() async throws {
    var template = Array("/dev/shm/backupd-days-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let store = RepositoryStore(
      id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
    let repository = try Repository.create(in: [store], unlocking: .unwrapped, cancellation: Cancellation())
    // Summer time ends on 25 October.
    let begin = try Timestamp(rfc3339: "2026-09-28T10:07:00Z")
    let clock = ManualClock(begin)
    var corrections: [ClosedRange<Timestamp>] = []

    /// The daemon for some days of its own.
    func live(_ days: Double, _ disturb: [(after: Double, what: @Sendable () -> Void)] = []) async throws {
      let state = try JobStateStore(directory: directory + "/state", now: clock.now)
      #expect(state.problems.isEmpty)
      _ = try state.recoverInterrupted(now: clock.now)
      let runner = JobRunner(
        .init(stateDirectory: directory + "/state", clock: clock, tick: .seconds(600)), repository: repository,
        state: state, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      let start = clock.uptime
      var left = disturb
      let jobs = try Self.jobs(clock)
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await runner.run(jobs) }
        while clock.uptime - start < .seconds(days * 86400) {
          while await clock.sleepers != runner.expectedSleepers {
            // Beyond the time limit.
            if Task.isCancelled { return }
            await Task.yield()
          }
          if let first = left.first, clock.uptime - start > .seconds(first.after * 86400) {
            first.what()
            left.removeFirst()
          }
          clock.advance()
        }
        group.cancelAll()
      }
      try Task.checkCancellation()
      #expect(left.isEmpty && state.liveRuns().isEmpty)
    }

    try await live(20, [(3, { clock.suspend(.seconds(5 * 3600)) }), (9, { clock.set(by: .seconds(2 * 3600 + 123)) })])
    clock.suspend(.seconds(26 * 3600))
    try await live(
      20, [(2, { clock.set(by: .seconds(-3600)) }), (7, { clock.suspend(.seconds(300)) })])
    clock.suspend(.seconds(20))
    let wrong = clock.now
    try await live(12, [(4, { clock.set(by: .seconds(9 * 86400)) }), (6, { clock.set(by: .seconds(-9 * 86400)) })])
    // Between the two the clock was wrong: its times may come again when they are right.
    corrections.append(wrong...(wrong + .seconds(21 * 86400)))
    clock.suspend(.seconds(3 * 86400))
    try await live(19)

    let end = clock.now
    #expect(end - begin > .seconds(72 * 86400))
    let records = try JobStateStore(directory: directory + "/state", now: end).runs(limit: .max).runs
    try check(records, from: begin, to: end, corrections)
  }

  private func check(
    _ records: [RunRecord], from begin: Timestamp, to end: Timestamp, _ corrections: [ClosedRange<Timestamp>]
  ) throws {
    for item in Self.schedules {
      let schedule = try CronExpression(item.schedule)
      let own = records.filter { $0.job.rawValue == item.name }
      var covered: [Timestamp: Int] = [:]
      for record in own {
        var due = record.due
        for _ in 0..<(record.times ?? 1) {
          covered[due, default: 0] += 1
          due = schedule.next(after: due, in: Self.zone) ?? due
        }
        if record.outcome == .skipped { #expect(record.error?.detail?.isEmpty == false) }
      }
      var wanted = 0
      var due = begin
      // What is due within the last moments may still be on its way.
      while let next = schedule.next(after: due, in: Self.zone), next < end - .seconds(900) {
        due = next
        wanted += 1
        let count = covered.removeValue(forKey: due) ?? 0
        let isRepeated = corrections.contains { $0.contains(due) }
        #expect(count == 1 || (isRepeated && count == 2), "\(item.name) at \(due): \(count) times")
      }
      // Nothing was run that was never due.
      let stray = covered.keys.filter { time in
        time < end - .seconds(900) && !corrections.contains { $0.contains(time) }
      }
      #expect(stray == [])
      let outcomes = Dictionary(grouping: own, by: { $0.outcome?.rawValue ?? "none" }).mapValues(\.count)
      print("\(item.name): \(wanted) times, \(outcomes)")
      #expect(outcomes["none"] == nil && (outcomes["succeeded"] ?? 0) > 0)
    }
  }
}
