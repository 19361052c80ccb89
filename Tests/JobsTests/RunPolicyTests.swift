import BackupModel
import BlockingWork
import JobState
import Logging
import Repository
import Scheduling
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Jobs

/// What runs do, and what they wait for.
private final class Stage: Sendable {
  private let state = Mutex<(begun: [String], open: Set<String>)>(([], []))

  var begun: [String] { state.withLock { $0.begun } }
  func begin(_ name: String) { state.withLock { $0.begun.append(name) } }
  /// Lets a job's run, and its later ones, end.
  func open(_ name: String) { state.withLock { _ = $0.open.insert(name) } }
  func isOpen(_ name: String) -> Bool { state.withLock { $0.open.contains(name) } }
}

/// Runs until the stage lets it end.
private struct StagedBody: JobBody {
  let name: String
  let stage: Stage
  var isExclusive = true
  var heedsCancellation = true
  func accepts(_ other: any JobBody) -> Bool { false }

  func attempt(_ context: RunContext) async throws -> RunResult {
    stage.begin(name)
    while !stage.isOpen(name) {
      if heedsCancellation && (context.cancellation.isCancelled || Task.isCancelled) { throw CancellationError() }
      // Wedged on purpose where it does not heed; then it is cut short, and looks again.
      try? await Task.sleep(for: .milliseconds(5))
      await Task.yield()
    }
    return RunResult()
  }
}

/// A runner with jobs that do as they are told.
private struct StagedRunner {
  let stage = Stage()
  let state: JobStateStore
  let runner: JobRunner

  init(directory: String, clock: any JobClock = HostJobClock(), patience: Duration = .seconds(300)) throws {
    let store = RepositoryStore(
      id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
    let repository = try Repository.create(in: [store], unlocking: .unwrapped, cancellation: Cancellation())
    state = try JobStateStore(directory: directory + "/state", now: clock.now)
    runner = JobRunner(
      .init(stateDirectory: directory + "/state", clock: clock, tick: .seconds(1), patience: patience),
      repository: repository, state: state,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  func job(
    _ name: String, cluster: String, group: LaneGroup = .backup, schedule: String? = nil,
    deadline: Duration = .seconds(86400), overlap: Overlap = .queue, rank: Int = 50, isExclusive: Bool = true,
    heedsCancellation: Bool = true
  ) throws -> Job {
    Job(
      id: try JobID(name), kind: "physical", cluster: ClusterID(unchecked: cluster), group: group,
      timetable: try schedule.map { Timetable(schedule: try CronExpression($0), zone: .utc) }, deadline: deadline,
      retries: 0, overlap: overlap, rank: rank,
      body: StagedBody(
        name: name, stage: stage, isExclusive: isExclusive, heedsCancellation: heedsCancellation))
  }

  func running(_ jobs: JobSet, _ body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [runner] in await runner.run(jobs) }
      defer {
        for name in jobs.names { stage.open(name.rawValue) }
        group.cancelAll()
      }
      try await wait(for: "the jobs") { await runner.summaries().map(\.name) == jobs.names }
      try await body()
    }
  }

  func start(_ names: [String]) async throws {
    for name in names { _ = try await runner.start(JobID(name)) }
  }

  func wait(for what: String, _ condition: () async throws -> Bool) async throws {
    try await Poll.until(.seconds(60), what) { try await condition() }
  }

  func begun(_ names: [String]) async throws {
    try await wait(for: "\(names) to begin") { stage.begun == names }
    // Nothing begins beside them.
    for _ in 0..<20 { await Task.yield() }
    #expect(stage.begun == names)
  }
}

@Suite("Runs") struct RunPolicyTests {
  @Test("go on as many as their group is wide, the lowest rank first, and one a cluster")
  func widthsAndRanks() async throws {
    try await TemporaryDirectory.run { directory in
      let it = try StagedRunner(directory: directory)
      let jobs = JobSet(
        jobs: [
          try it.job("a", cluster: "one"), try it.job("b", cluster: "one", rank: 10),
          try it.job("c", cluster: "two"), try it.job("late", cluster: "three", rank: 90),
          try it.job("early", cluster: "four", rank: 10), try it.job("middle", cluster: "five"),
          try it.job("check", cluster: "one", group: .monitoring, isExclusive: false),
        ], widths: [.backup: 2, .monitoring: 1])
      try await it.running(jobs) {
        try await it.start(["a", "b"])
        // There is room, but not for a second of the cluster.
        try await it.begun(["a"])
        try await it.start(["c", "late", "middle", "early", "check"])
        try await it.begun(["a", "c", "check"])
        it.stage.open("c")
        try await it.begun(["a", "c", "check", "early"])
        it.stage.open("a")
        try await it.begun(["a", "c", "check", "early", "b"])
        it.stage.open("early")
        try await it.begun(["a", "c", "check", "early", "b", "middle"])
        it.stage.open("middle")
        try await it.begun(["a", "c", "check", "early", "b", "middle", "late"])
      }
      #expect(try it.state.runs().runs.allSatisfy { $0.outcome == .succeeded || $0.outcome == .interrupted })
    }
  }

  @Test("that do not end when cancelled are given up: others go on, its cluster waits until it ends after all")
  func wedged() async throws {
    try await TemporaryDirectory.run { directory in
      let it = try StagedRunner(directory: directory, patience: .milliseconds(50))
      let jobs = JobSet(jobs: [
        try it.job("wedged", cluster: "one", deadline: .milliseconds(50), heedsCancellation: false),
        try it.job("same", cluster: "one"), try it.job("other", cluster: "two"),
        try it.job("check", cluster: "one", group: .monitoring, isExclusive: false),
      ])
      try await it.running(jobs) {
        try await it.start(["wedged", "same", "other", "check"])
        try await it.wait(for: "the others to begin") { Set(it.stage.begun) == ["wedged", "check", "other"] }
        let record = try #require(try it.state.runs(of: JobID("wedged")).runs.first)
        #expect(record.outcome == .failed && record.error?.summary.contains("wedged") == true, "\(record)")
        #expect(it.state.conditions().map(\.id).sorted() == ["job:wedged", "stuck:wedged"])
        it.stage.open("other")
        try await it.wait(for: "the other's end") { try it.state.runs(of: JobID("other")).runs.count == 1 }
        #expect(!it.stage.begun.contains("same"))
        it.stage.open("wedged")
        try await it.wait(for: "the cluster's next") { it.stage.begun.contains("same") }
        #expect(it.state.conditions().map(\.id) == ["job:wedged"])
        // What it has to say now is too late: the record stands.
        #expect(try it.state.runs(of: JobID("wedged")).runs == [record])
      }
    }
  }

  @Test("that are due while the last one goes on wait or are skipped with the reason, as the job says")
  func overlap() async throws {
    try await TemporaryDirectory.run { directory in
      let noon = try Timestamp(rfc3339: "2026-11-26T12:00:10Z")
      let clock = ManualClock(noon)
      let it = try StagedRunner(directory: directory, clock: clock)
      let jobs = JobSet(
        jobs: [
          try it.job("waits", cluster: "one", schedule: "* * * * *"),
          try it.job("skips", cluster: "two", schedule: "* * * * *", overlap: .skip),
        ], widths: [.backup: 2])
      try await it.running(jobs) {
        /// The schedule sleeps, and the deadline of each run that goes on.
        func advance(to time: Timestamp) async throws {
          while clock.now < time {
            try await it.wait(for: "all to sleep") { await clock.sleepers == 1 + it.runner.running.count }
            clock.advance()
          }
        }
        try await advance(to: noon + .seconds(55))
        try await it.wait(for: "both") { Set(it.stage.begun) == ["waits", "skips"] }
        try await advance(to: noon + .seconds(175))
        try await it.wait(for: "what was skipped") { try it.state.runs().runs.count == 3 }
        let skipped = try it.state.runs().runs
        #expect(skipped.allSatisfy { $0.outcome == .skipped })
        let reasons = skipped.map { "\($0.job): \($0.error?.detail ?? "")" }.sorted()
        #expect(
          reasons == [
            "skips: An earlier run of this job still goes on, and \"overlap\" is \"skip\".",
            "skips: An earlier run of this job still goes on, and \"overlap\" is \"skip\".",
            "waits: An earlier run of this job still waits for its turn.",
          ])
        // By hand a run is never skipped.
        try await it.start(["skips"])
        it.stage.open("waits")
        it.stage.open("skips")
        try await it.wait(for: "those that waited") {
          it.stage.begun.sorted() == ["skips", "skips", "waits", "waits"]
        }
      }
    }
  }

  @Test("of a job that stores everything take over no backup that did not")
  func adoptionOfFull() {
    func body(full: Bool) -> PhysicalJob {
      PhysicalJob(
        cluster: ClusterID(unchecked: "one"), connection: Secret("host=nowhere"), workers: 1, full: full)
    }
    #expect(body(full: false).accepts(body(full: true)) && body(full: true).accepts(body(full: true)))
    #expect(body(full: false).accepts(body(full: false)) && !body(full: true).accepts(body(full: false)))
    #expect(!body(full: false).accepts(StagedBody(name: "", stage: Stage())))
  }
}
