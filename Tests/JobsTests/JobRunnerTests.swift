import BackupModel
import Foundation
import JobState
import Repository
import TestSupport
import Testing

@testable import Jobs

@Suite("Jobs", .serialized) struct JobRunnerTests {
  private let yesterday = Timestamp.now() - .seconds(86_400)

  @Test("run by hand, with their own WAL, and are recorded; a scheduled run in the queue takes the backup over")
  func runsAndAdopts() async throws {
    try await PostgresServer.run { server in
      try await JobsFixture.run(server) { fixture in
        let jobs = JobSet(jobs: [try fixture.job("nightly")])
        try await fixture.running(jobs) {
          let run = try await fixture.runner.start(JobID("nightly"))
          let record = try await fixture.ended(run.run)
          #expect(record.outcome == .succeeded && record.error == nil, "\(record)")
          #expect(record.trigger == .manual && record.phases.map(\.name).contains("proving WAL"))
          let listed = try BackupCatalog(fixture.repository).list()
          #expect(listed.backups.map(\.id) == [record.backup] && listed.backups.first?.job?.rawValue == "nightly")
          let summary = await fixture.summary("nightly")
          #expect(summary?.lastOutcome == .succeeded && summary?.running == nil && summary?.nextRun == nil)
          await #expect(throws: JobsError.self) { try await fixture.runner.start(JobID("none")) }
          await #expect(throws: JobsError.self) { try await fixture.runner.cancel(run.run) }
        }
        // Two jobs that were missed: one backup serves both.
        for name in ["daily", "hourly"] { try fixture.state.markDue(yesterday, of: JobID(name)) }
        let restarted = fixture.restarted()
        let missed = JobSet(
          jobs: [
            try fixture.job("daily", schedule: FarSchedule.daily),
            try fixture.job("hourly", schedule: FarSchedule.hourly),
          ])
        try await restarted.running(missed) {
          try await fixture.wait(for: "both missed runs") {
            try ["daily", "hourly"].allSatisfy { fixture.state.state(of: try JobID($0)).lastSuccess != nil }
          }
        }
        let records = try fixture.state.runs().runs.filter { $0.job.rawValue != "nightly" }
        expectMissedRuns(records)
        #expect(try BackupCatalog(fixture.repository).list().backups.count == 2)
        #expect(try server.psql("select count(*) from pg_replication_slots") == "0")
      }
    }
  }

  /// One backup for both, and of the hours in between a word that they passed.
  private func expectMissedRuns(_ records: [RunRecord]) {
    let passed = records.filter { $0.outcome == .skipped }
    #expect(passed.allSatisfy { $0.error?.detail?.contains("one run takes place for all") == true })
    #expect(passed.filter { $0.job.rawValue == "hourly" }.map { ($0.times ?? 1) >= 22 } == [true])
    let ran = records.filter { $0.outcome != .skipped }
    #expect(ran.count == 2 && Set(ran.map(\.backup)).count == 1, "\(ran)")
    #expect(ran.allSatisfy { $0.trigger == .missed && $0.outcome == .succeeded })
    #expect(ran.first?.warnings.first?.contains("took over") == true)
  }

  @Test("that were missed and are to be skipped are recorded as skipped, once")
  func skips() async throws {
    try await PostgresServer.run { server in
      try await JobsFixture.run(server) { fixture in
        let id = try JobID("nightly")
        try fixture.state.markDue(yesterday, of: id)
        let jobs = JobSet(jobs: [try fixture.job("nightly", schedule: FarSchedule.daily, missed: .skip)])
        for _ in 0..<2 {
          let restarted = fixture.restarted()
          try await restarted.running(jobs) {
            try await fixture.wait(for: "the next run") {
              await restarted.summary("nightly")?.nextRun.map { $0 > .now() } == true
            }
          }
        }
        let records = try fixture.state.runs().runs
        #expect(records.map(\.outcome) == [.skipped] && records.first?.error != nil)
        #expect(try BackupCatalog(fixture.repository).list().backups.isEmpty)
      }
    }
  }

  @Test("end when cancelled, at their deadline and when the daemon stops, each recorded as what it was")
  func ends() async throws {
    try await PostgresServer.run { server in
      try await JobsFixture.run(server) { fixture in
        let jobs = JobSet(jobs: [
          try fixture.job("slow", slow: true), try fixture.job("short", deadline: .seconds(2), slow: true),
        ])
        try await fixture.running(jobs) {
          let slow = try await fixture.runner.start(JobID("slow")).run
          let queued = try await fixture.runner.start(JobID("short")).run
          try await fixture.copying(slow)
          #expect(fixture.state.liveRun(queued)?.progress?.phase == "waiting")
          try await fixture.runner.cancel(queued)
          #expect(try await fixture.ended(queued).outcome == .cancelled)
          try await fixture.runner.cancel(slow)
          #expect(try await fixture.ended(slow).outcome == .cancelled)
          let short = try await fixture.ended(try await fixture.runner.start(JobID("short")).run)
          #expect(short.outcome == .failed && short.error?.summary.contains("in time") == true, "\(short)")
          try await fixture.wait(for: "a condition") { fixture.state.conditions().map(\.id) == ["job:short"] }
          let stopped = try await fixture.runner.start(JobID("slow")).run
          _ = try await fixture.runner.start(JobID("short"))
          try await fixture.copying(stopped)
        }
        let last = try fixture.state.runs(limit: 2).runs
        #expect(Set(last.map(\.job.rawValue)) == ["slow", "short"])
        #expect(last.allSatisfy { $0.outcome == .interrupted }, "\(last)")
        #expect(fixture.state.liveRuns().isEmpty && fixture.objects.isEmpty)
        await #expect(throws: JobsError.self) { try await fixture.runner.start(JobID("slow")) }
      }
    }
  }

  @Test("go with a reload: one that is removed is forgotten, one that is changed was not missed")
  func reload() async throws {
    try await PostgresServer.run { server in
      try await JobsFixture.run(server) { fixture in
        let broken = try fixture.job("broken", connection: Secret("host=/nowhere user=postgres"))
        let nightly = try fixture.job("nightly", schedule: FarSchedule.daily)
        try fixture.state.markDue(.now(), of: nightly.id)
        try await fixture.running(JobSet(jobs: [broken, nightly])) {
          let failed = try await fixture.ended(try await fixture.runner.start(broken.id).run)
          #expect(failed.outcome == .failed && failed.error?.summary.contains("could not connect") == true, "\(failed)")
          try await fixture.wait(for: "a condition") { fixture.state.conditions().map(\.id) == ["job:broken"] }
          let before = await fixture.summary("nightly")?.nextRun
          // The state says it last ran yesterday: the new times since then were never due.
          try fixture.state.markDue(yesterday, of: nightly.id)
          var changed = nightly
          changed.retries = 2
          await fixture.runner.apply(JobSet(jobs: [changed]))
          #expect(await fixture.summary("nightly")?.nextRun == before)
          changed = try fixture.job("nightly", schedule: "*/7 * * * *")
          await fixture.runner.apply(JobSet(jobs: [changed]))
          #expect(await fixture.summary("nightly")?.nextRun.map { $0 > .now() } == true)
          #expect(fixture.state.conditions().isEmpty)
          await #expect(throws: JobsError.self) { try await fixture.runner.start(broken.id) }
          await fixture.runner.apply(JobSet())
          #expect(await fixture.runner.summaries().isEmpty)
        }
        #expect(try fixture.state.runs().runs.map(\.job.rawValue) == ["broken"])
      }
    }
  }

  @Test("that keep WAL are replaced by a reload without two of them at once")
  func replacesKeeper() async throws {
    try await PostgresServer.run { server in
      try await JobsFixture.run(server) { fixture in
        func wal(_ interval: Duration) throws -> WALJob {
          WALJob(
            id: try JobID("wal"), cluster: fixture.cluster, connection: fixture.connection, slot: "backupd_oauth",
            partialInterval: interval)
        }
        @Sendable func streaming(beyond lsn: LSN) async throws {
          do {
            try await fixture.wait(for: "WAL beyond \(lsn)") {
              let status = await fixture.runner.walStatus().first
              return status?.state == "streaming" && (status?.flushedLSN ?? LSN(0)) >= lsn
            }
          } catch {
            Issue.record("\(await fixture.runner.walStatus()) \(fixture.state.conditions())")
            throw error
          }
        }
        let physical = try fixture.job("nightly")
        let second = try wal(.seconds(1))
        try await fixture.running(JobSet(jobs: [physical], wal: [try wal(.milliseconds(200))])) {
          try await streaming(beyond: LSN(1))
          for interval in 1...4 {
            var job = second
            job.partialInterval = .milliseconds(100 * interval)
            await fixture.runner.apply(JobSet(jobs: [physical], wal: [job]))
          }
          try server.psql("create table t as select generate_series(1, 1000)")
          try await streaming(beyond: LSN(server.psql("select pg_current_wal_flush_lsn()")))
          #expect(fixture.state.conditions().isEmpty)
          let record = try await fixture.ended(try await fixture.runner.start(physical.id).run)
          #expect(record.outcome == .succeeded, "\(record)")
          await fixture.runner.apply(JobSet(jobs: [physical]))
          #expect(await fixture.runner.walStatus().isEmpty)
          try await fixture.wait(for: "the slot to be let go") {
            try server.psql("select active from pg_replication_slots") == "f"
          }
        }
      }
    }
  }
}
