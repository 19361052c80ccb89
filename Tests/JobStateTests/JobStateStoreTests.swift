import BackupModel
import DurableFiles
import Foundation
import JobState
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// A store in a directory of its own, and what tests say of runs.
struct StateFixture {
  static let noon = Timestamp(seconds: 1_793_620_800)
  static let nightly = JobID(unchecked: "nightly")

  static func run<Result>(_ body: (String) throws -> Result) throws -> Result {
    try TemporaryDirectory.run { try body($0 + "/state") }
  }

  static func record(
    _ job: JobID = nightly, started: Timestamp = noon, trigger: RunTrigger = .schedule, outcome: RunOutcome? = nil
  ) -> RunRecord {
    var record = RunRecord(
      run: RunID(started: started), job: job, kind: "physical", cluster: ClusterID(unchecked: "oauth"),
      trigger: trigger, due: started, started: started)
    if let outcome { end(&record, outcome) }
    return record
  }

  static func end(_ record: inout RunRecord, _ outcome: RunOutcome) {
    record.outcome = outcome
    record.finished = record.started + .seconds(60)
    if outcome == .failed { record.error = ErrorReport(summary: "could not reach the server", hint: "Start it.") }
  }

  static func append(_ text: String, to path: String) throws { try DurableFile.append(Array(text.utf8), to: path) }
  static func text(_ path: String) throws -> String { String(decoding: try DurableFile.read(path), as: UTF8.self) }
}

@Suite("Job state") struct JobStateStoreTests {
  typealias F = StateFixture

  @Test("is remembered by the next daemon")
  func survivesRestart() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      var record = F.record()
      try store.begin(record)
      #expect(store.liveRuns() == [record])
      #expect(store.state(of: F.nightly).lastDue == F.noon)
      record.progress = RunProgress(phase: "reading", doneBytes: ByteCount(5))
      try store.update(record)
      F.end(&record, .succeeded)
      try store.end(record)

      let next = try JobStateStore(directory: directory, now: F.noon)
      #expect(next.problems.isEmpty)
      #expect(next.liveRuns().isEmpty)
      #expect(try next.recoverInterrupted(now: F.noon).isEmpty)
      let state = next.state(of: F.nightly)
      #expect(state == store.state(of: F.nightly))
      #expect(state.lastRun == record.run && state.lastOutcome == .succeeded && state.lastSuccess == record.finished)
      #expect(try next.runs().runs == [record])
      #expect(try next.run(record.run) == record)
    }
  }

  @Test("counts failures up to the next success, and keeps why")
  func countsFailures() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      let outcomes: [(RunOutcome, Int)] = [
        (.failed, 1), (.incomplete, 2), (.cancelled, 2), (.skipped, 2), (.interrupted, 2), (.failed, 3),
        (.succeeded, 0),
      ]
      for (index, (outcome, failures)) in outcomes.enumerated() {
        let record = F.record(started: F.noon + .seconds(3600 * index), outcome: outcome)
        try store.end(record)
        #expect(store.state(of: F.nightly).consecutiveFailures == failures)
        #expect(store.state(of: F.nightly).lastError == record.error)
      }
      #expect(store.state(of: F.nightly).lastSuccess == F.noon + .seconds(3600 * 6 + 60))
    }
  }

  @Test("leaves the schedule alone for a run by hand, and moves it for a missed run that is skipped")
  func dueTimes() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      try store.begin(F.record(trigger: .manual))
      #expect(store.state(of: F.nightly).lastDue == nil)
      try store.markDue(F.noon, of: F.nightly)
      try store.markDue(F.noon - .seconds(60), of: F.nightly)
      #expect(try JobStateStore(directory: directory, now: F.noon).state(of: F.nightly).lastDue == F.noon)
    }
  }

  @Test("writes readable JSON with camelCase keys and a version")
  func readable() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      try store.end(F.record(outcome: .succeeded))
      let text = try F.text(directory + "/jobs/nightly.json")
      #expect(text.contains("\n  \"lastOutcome\" : \"succeeded\""))
      #expect(text.contains("\"version\" : 1") && text.contains("\"lastDue\" : \"2026-11-02T"))
      #expect(try F.text(directory + "/runs/2026-11.jsonl").split(separator: "\n").count == 1)
      #expect(try DurableFile.names(in: directory + "/live").isEmpty)
    }
  }

  @Test(
    "keeps a file aside that it cannot read, says so, and goes on",
    arguments: ["", "{", "[]", "{\"version\":1}", "\0\u{1}x"])
  func damaged(content: String) throws {
    try F.run { directory in
      try JobStateStore(directory: directory, now: F.noon).end(F.record(outcome: .failed))
      for path in ["jobs/nightly.json", "live/x.json", "conditions.json"] {
        try DurableFile.replace(directory + "/" + path, with: Array(content.utf8))
      }
      let store = try JobStateStore(directory: directory, now: F.noon)
      #expect(store.problems.count == 3)
      #expect(store.problems.allSatisfy { $0.detail?.contains(".damaged-\(F.noon.compact)") == true })
      #expect(store.state(of: F.nightly).lastRun == nil)
      #expect(try F.text(directory + "/jobs/nightly.json.damaged-\(F.noon.compact)") == content)
      try store.end(F.record(outcome: .succeeded))
      #expect(try JobStateStore(directory: directory, now: F.noon).problems.isEmpty)
    }
  }

  @Test("refuses a file of a newer version by name")
  func newer() throws {
    try F.run { directory in
      try DurableFile.makeDirectory(directory + "/jobs")
      try F.append("{\"version\": 2, \"shape\": \"unknown\"}", to: directory + "/jobs/nightly.json")
      let store = try JobStateStore(directory: directory, now: F.noon)
      #expect(store.problems.first?.summary.contains("version 2") == true)
      #expect(DurableFile.exists(directory + "/jobs/nightly.json.damaged-\(F.noon.compact)"))
    }
  }

  @Test("never traps on damaged bytes")
  func mutations() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      try store.begin(F.record())
      let path = directory + "/live/" + store.liveRuns()[0].run.text + ".json"
      let good = try DurableFile.read(path)
      var random = SystemRandomNumberGenerator()
      for _ in 0..<50 {
        var bytes = good
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
        try DurableFile.replace(path, with: bytes)
        let damaged = try JobStateStore(directory: directory, now: F.noon)
        _ = try damaged.recoverInterrupted(now: F.noon)
      }
    }
  }

  @Test("tells observers what is new, reads what an older version wrote, and ends what is about nothing")
  func observers() throws {
    try TemporaryDirectory.run { directory in
      let old = """
        {"conditions": [{"id": "job:nightly", "severity": "critical", "since": "2026-11-02T12:00:00Z",
         "report": {"summary": "it broke"}}], "version": 1}
        """
      try old.write(toFile: directory + "/conditions.json", atomically: false, encoding: .utf8)
      let store = try JobStateStore(directory: directory, now: F.noon)
      #expect(store.problems.isEmpty)
      var condition = try #require(store.conditions().first)
      #expect(condition.job == nil && condition.cluster == nil && condition.severity == .critical)
      let seen = Mutex<[String]>([])
      store.observeConditions { change in
        switch change {
        case .raised(let condition): seen.withLock { $0.append("raised \(condition.id) \(condition.severity)") }
        case .resolved(let condition): seen.withLock { $0.append("resolved \(condition.id)") }
        }
      }
      try store.raise(condition)
      condition.severity = .warning
      condition.job = JobID(unchecked: "nightly")
      condition.tier = TierID(unchecked: "tokens")
      try store.raise(condition)
      condition.report.detail = "More of it."
      try store.raise(condition)
      #expect(try JobStateStore(directory: directory, now: F.noon).conditions() == [condition])
      #expect(try store.resolveConditions { $0.job == JobID(unchecked: "hourly") } == [])
      #expect(try store.resolveConditions { $0.job == JobID(unchecked: "nightly") } == [condition])
      #expect(try store.resolve("job:nightly") == nil)
      #expect(seen.withLock { $0 } == ["raised job:nightly warning", "resolved job:nightly"])
    }
  }

  @Test("raises a condition once and resolves it once, across restarts")
  func conditions() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      var condition = Condition(
        id: "job:nightly", severity: .warning, since: F.noon, report: ErrorReport(summary: "job \"nightly\" failed"))
      #expect(try store.raise(condition))
      condition.since = F.noon + .seconds(60)
      #expect(try !store.raise(condition))
      let next = try JobStateStore(directory: directory, now: F.noon)
      #expect(next.conditions().map(\.since) == [F.noon])
      condition.severity = .critical
      #expect(try next.raise(condition))
      #expect(try next.resolve("job:nightly")?.severity == .critical)
      #expect(try next.resolve("job:nightly") == nil)
      #expect(try JobStateStore(directory: directory, now: F.noon).conditions().isEmpty)
    }
  }
}

@Suite("Run history") struct RunHistoryTests {
  typealias F = StateFixture

  @Test("is read newest first over months, by job and up to a limit")
  func newestFirst() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      let hourly = JobID(unchecked: "hourly")
      var records: [RunRecord] = []
      for index in 0..<120 {
        let record = F.record(
          index % 4 == 0 ? F.nightly : hourly, started: F.noon + .seconds(index * 86400), outcome: .succeeded)
        records.append(record)
        try store.end(record)
      }
      #expect(try DurableFile.names(in: directory + "/runs").count == 5)
      #expect(try store.runs(limit: 1000).runs == records.reversed())
      #expect(try store.runs(limit: 7).runs == Array(records.reversed().prefix(7)))
      #expect(
        try store.runs(of: F.nightly, limit: 3).runs
          == Array(records.reversed().filter { $0.job == F.nightly }.prefix(3)))
      #expect(try store.runs(of: JobID(unchecked: "other")).runs.isEmpty)
      #expect(try store.runs(limit: 0).runs.isEmpty)
    }
  }

  @Test("tolerates a line torn by a crash, and does not glue the next to it", arguments: [1, 10, 200])
  func tornLine(missing: Int) throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      let records = [0, 1, 2].map { F.record(started: F.noon + .seconds($0), outcome: .succeeded) }
      let path = directory + "/runs/2026-11.jsonl"
      try store.end(records[0])
      try store.end(records[1])
      let file = try Descriptor(opening: path, O_RDWR)
      try file.truncate(to: file.size() - Int64(missing))
      // Without its line end alone the line is whole.
      let left = missing == 1 ? [records[1], records[0]] : [records[0]]
      let torn = try store.runs()
      #expect(torn.runs == left && torn.problems.isEmpty)
      try store.end(records[2])
      let repaired = try store.runs()
      #expect(repaired.runs == [records[2]] + left && repaired.problems.isEmpty)
    }
  }

  @Test("reports a damaged line in the middle and gives the others")
  func damagedLine() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      let records = [0, 1].map { F.record(started: F.noon + .seconds($0), outcome: .succeeded) }
      let path = directory + "/runs/2026-11.jsonl"
      try store.end(records[0])
      try F.append("garbage\n\n{\"version\": 9}\n", to: path)
      try store.end(records[1])
      let history = try store.runs()
      #expect(history.runs == [records[1], records[0]])
      #expect(history.problems.count == 2)
    }
  }

  @Test("goes a month at a time once it is old, whatever the clock says")
  func pruned() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      #expect(try store.pruneHistory(olderThan: .seconds(86400), now: F.noon) == 0)
      // 2026-11-02 to 2027-03-01.
      let records = (0..<120).map { F.record(started: F.noon + .seconds($0 * 86400), outcome: .succeeded) }
      for record in records { try store.end(record) }
      let last = records[119].started
      #expect(try store.pruneHistory(olderThan: .seconds(400 * 86400), now: last) == 0)
      // A month in which one day is young enough stays whole.
      #expect(try store.pruneHistory(olderThan: .seconds(59 * 86400), now: last) == 2)
      #expect(
        try DurableFile.names(in: directory + "/runs").sorted() == ["2027-01.jsonl", "2027-02.jsonl", "2027-03.jsonl"])
      #expect(try store.runs(limit: 1000).runs == records.reversed().filter { $0.finished!.compact >= "20270101" })
      // A clock that went years ahead removes nothing that the newest run does not make old; one that went back nothing.
      #expect(try store.pruneHistory(olderThan: .seconds(59 * 86400), now: last + .seconds(9000 * 86400)) == 0)
      #expect(try store.pruneHistory(olderThan: .seconds(59 * 86400), now: F.noon) == 0)
      #expect(store.state(of: F.nightly).lastSuccess == records[119].finished)
    }
  }

  @Test("of 50,000 runs is read from its end, and the runs of a daemon that died are found in one pass")
  func many() throws {
    try F.run { directory in
      _ = try JobStateStore(directory: directory, now: F.noon)
      let encoder = JSONEncoder()
      let rare = JobID(unchecked: "rare")
      var text = Data()
      var ended: [RunRecord] = []
      for index in 0..<50_000 {
        let record = F.record(
          index == 9 ? rare : F.nightly, started: F.noon + .seconds(index * 5), outcome: .succeeded)
        if index % 500 == 9 { ended.append(record) }
        text.append(contentsOf: #"{"version":1,"#.utf8)
        text.append(try encoder.encode(record).dropFirst())
        text.append(0x0A)
      }
      try text.write(to: URL(fileURLWithPath: directory + "/runs/2026-11.jsonl"))
      // 100 whose end was written and whose live file stayed, and one that was never ended.
      let died = F.record(rare, started: F.noon + .seconds(250_000))
      for var record in ended + [died] {
        record.outcome = nil
        record.finished = nil
        try JobStateStore(directory: directory, now: F.noon).begin(record)
      }
      let store = try JobStateStore(directory: directory, now: F.noon)
      #expect(try store.recoverInterrupted(now: F.noon + .seconds(260_000)).map(\.run) == [died.run])
      #expect(store.liveRuns().isEmpty && store.state(of: rare).lastOutcome == .interrupted)
      #expect(try store.runs(limit: 20).runs.count == 20)
      #expect(try store.runs(of: rare).runs.map(\.run) == [died.run, ended[0].run])
      #expect(try store.run(ended[3].run) == ended[3])
    }
  }

  @Test("stays bounded for a file without line ends")
  func noLines() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      try DurableFile.append([UInt8](repeating: 0x41, count: 5 << 20), to: directory + "/runs/2026-11.jsonl")
      #expect(try store.runs().runs.isEmpty)
    }
  }
}

@Suite("A daemon that died") struct InterruptedRunTests {
  typealias F = StateFixture

  @Test("leaves runs that the next one ends as interrupted, once")
  func interrupted() throws {
    try F.run { directory in
      let record = F.record()
      try JobStateStore(directory: directory, now: F.noon).begin(record)
      let store = try JobStateStore(directory: directory, now: F.noon)
      let later = F.noon + .seconds(600)
      let ended = try store.recoverInterrupted(now: later)
      #expect(ended.map(\.run) == [record.run] && ended[0].outcome == .interrupted && ended[0].finished == later)
      #expect(store.liveRuns().isEmpty)
      #expect(store.state(of: F.nightly).lastOutcome == .interrupted)
      #expect(try store.recoverInterrupted(now: later).isEmpty)
      let next = try JobStateStore(directory: directory, now: F.noon)
      #expect(try next.recoverInterrupted(now: later).isEmpty)
      #expect(try next.runs().runs == ended)
    }
  }

  @Test("between two steps of ending a run loses nothing and counts nothing twice", arguments: [true, false])
  func betweenSteps(stateWritten: Bool) throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      var record = F.record()
      try store.begin(record)
      let live = directory + "/live/\(record.run).json"
      let liveBytes = try DurableFile.read(live)
      try store.markDue(record.due, of: F.nightly)
      let stateBytes = try DurableFile.read(directory + "/jobs/nightly.json")
      F.end(&record, .failed)
      try store.end(record)
      try DurableFile.replace(live, with: liveBytes)
      if !stateWritten { try DurableFile.replace(directory + "/jobs/nightly.json", with: stateBytes) }

      let next = try JobStateStore(directory: directory, now: F.noon)
      #expect(try next.recoverInterrupted(now: F.noon).isEmpty)
      #expect(try next.runs().runs == [record])
      #expect(next.state(of: F.nightly) == store.state(of: F.nightly))
      #expect(next.state(of: F.nightly).consecutiveFailures == 1)
      #expect(!DurableFile.exists(live))
    }
  }

  @Test("may leave temporary files, which are no state")
  func temporaryFiles() throws {
    try F.run { directory in
      try JobStateStore(directory: directory, now: F.noon).begin(F.record())
      try F.append("{", to: directory + "/jobs/nightly.json.tmp")
      let store = try JobStateStore(directory: directory, now: F.noon)
      #expect(store.problems.isEmpty && store.liveRuns().count == 1)
    }
  }

  @Test("that cannot write says so and still knows the truth", .enabled(if: geteuid() == 0))
  func cannotWrite() throws {
    try F.run { directory in
      let store = try JobStateStore(directory: directory, now: F.noon)
      try DurableFile.makeDirectory(directory + "/jobs/nightly.json")
      #expect(throws: FileError.self) { try store.end(F.record(outcome: .succeeded)) }
      #expect(store.state(of: F.nightly).lastOutcome == .succeeded)
    }
  }
}
