import BackupModel
import BlockingWork
import Foundation
import JobState
import Logging
import Repository
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Jobs
@testable import Scheduling

/// Notes when it begins, and is done.
private struct InstantBody: JobBody {
  let job: JobID
  let begun: Begun
  var isExclusive: Bool { false }
  func accepts(_ other: any JobBody) -> Bool { false }
  func attempt(_ context: RunContext) async throws -> RunResult {
    begun.note(job, Timestamp.now())
    return RunResult()
  }
}

private final class Begun: Sendable {
  private let times = Mutex<[JobID: [Timestamp]]>([:])
  func note(_ job: JobID, _ time: Timestamp) { times.withLock { $0[job, default: []].append(time) } }
  var all: [JobID: [Timestamp]] { times.withLock { $0 } }
}

@Suite(
  "The scheduler, at full size",
  .enabled(if: ProcessInfo.processInfo.environment["BACKUPD_SOAK"] == "1", "make soak"))
struct SchedulerSoak {
  /// Three minutes of the real clock; the runs of each are spread over it, as jitter is for.
  @Test("begins each run of 1,000 jobs less than 100 ms late")
  func thousandJobs() async throws {
    try await TemporaryDirectory.run { directory in
      let store = RepositoryStore(
        id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
      let repository = try Repository.create(in: [store], unlocking: .unwrapped, cancellation: Cancellation())
      let state = try JobStateStore(directory: directory + "/state", now: .now())
      let runner = JobRunner(
        .init(stateDirectory: directory + "/state"), repository: repository, state: state,
        logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
      let begun = Begun()
      let timetable = Timetable(schedule: try CronExpression("* * * * *"), zone: .utc, jitter: .seconds(55))
      let jobs = (0..<1000).map { number in
        let id = JobID(unchecked: "job-\(number)")
        return Job(
          id: id, kind: "check", cluster: ClusterID(unchecked: "c\(number % 10)"), group: .monitoring,
          timetable: timetable, body: InstantBody(job: id, begun: begun))
      }
      let began = Timestamp.now()
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await runner.run(JobSet(jobs: jobs, widths: [.monitoring: 16])) }
        try? await Task.sleep(for: .seconds(185))
        group.cancelAll()
      }
      var errors: [Double] = []
      for (job, times) in begun.all {
        var due = began
        for time in times {
          due = timetable.next(after: due)!
          errors.append((time - timetable.start(of: job, due: due)).secondsValue)
        }
      }
      errors.sort()
      print("\(errors.count) runs: median \(errors[errors.count / 2]) s late, at most \(errors.last!) s")
      #expect(errors.count >= 2000 && errors.first! >= 0 && errors.last! < 0.1)
      #expect(try state.runs(limit: .max).runs.allSatisfy { $0.outcome == .succeeded })
    }
  }
}
