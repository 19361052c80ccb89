import BackupModel
import BlockingWork
import Foundation
import JobState
import Jobs
import KeyManagement
import Logging
import Repository
import Scheduling
import Storage
import TestSupport

/// A runner with a repository and a state directory, and jobs for one server.
struct JobsFixture: Sendable {
  let directory: String
  let repository: Repository
  let state: JobStateStore
  let runner: JobRunner
  let connection: Secret
  let cluster = ClusterID(unchecked: "oauth")

  static func run(_ server: PostgresServer, _ body: (JobsFixture) async throws -> Void) async throws {
    try await TemporaryDirectory.run { directory in
      let store = RepositoryStore(
        id: StoreID(unchecked: "local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
      let repository = try Repository.create(in: [store], unlocking: .unwrapped, cancellation: Cancellation())
      let state = try JobStateStore(directory: directory + "/state", now: .now())
      try await body(
        JobsFixture(
          directory: directory, repository: repository, state: state, connection: Secret(server.connection)))
    }
  }

  init(directory: String, repository: Repository, state: JobStateStore, connection: Secret) {
    self.directory = directory
    self.repository = repository
    self.state = state
    self.connection = connection
    runner = JobRunner(
      .init(stateDirectory: directory + "/state"), repository: repository, state: state,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  /// The same after the daemon was started anew.
  func restarted() -> JobsFixture {
    JobsFixture(directory: directory, repository: repository, state: state, connection: connection)
  }

  /// Polls without blocking a thread.
  func wait(for what: String, _ condition: () async throws -> Bool) async throws {
    try await Poll.until(.seconds(60), what) { try await condition() }
  }

  /// Runs jobs beside the closure; the runner has ended and cleaned up on return.
  func running(_ jobs: JobSet, _ body: @Sendable () async throws -> Void) async throws {
    try await withoutActuallyEscaping(body) { body in
      try await withThrowingTaskGroup(of: Void.self) { group in
        let runner = self.runner
        group.addTask { await runner.run(jobs) }
        defer { group.cancelAll() }
        try await wait(for: "the jobs") { await runner.summaries().map(\.name) == jobs.names }
        try await body()
      }
    }
  }

  func job(
    _ name: String, schedule: String? = nil, missed: MissedRuns = .once, deadline: Duration? = nil,
    slow: Bool = false, connection: Secret? = nil, full: Bool = false
  ) throws -> Job {
    Job(
      id: try JobID(name), kind: "physical", cluster: cluster,
      timetable: try schedule.map { Timetable(schedule: try CronExpression($0), zone: .utc, missed: missed) },
      deadline: deadline ?? .seconds(86400), retries: 0,
      body: PhysicalJob(
        cluster: cluster, connection: connection ?? self.connection, workers: 1,
        maximumRate: slow ? ByteCount(1 << 20) : nil, full: full))
  }

  /// Once a run has ended.
  func ended(_ run: RunID) async throws -> RunRecord {
    try await wait(for: "the end of run \(run)") {
      try state.liveRun(run) == nil && state.run(run)?.outcome != nil
    }
    return try state.run(run)!
  }

  /// Once a run copies.
  func copying(_ run: RunID) async throws {
    try await wait(for: "run \(run) to copy") { state.liveRun(run)?.progress?.phase == "copying" }
  }

  func summary(_ name: String) async -> JobSummary? {
    await runner.summaries().first { $0.name.rawValue == name }
  }

  var objects: [String] {
    let root = directory + "/store/clusters"
    let all = FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []
    return all.filter { $0.contains("/packs/") || $0.contains("/metadata/") || $0.contains("/backups/") }
  }
}
