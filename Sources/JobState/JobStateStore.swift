public import BackupModel
internal import DurableFiles
import Foundation
import Synchronization

/// Everything the daemon remembers of its jobs, in readable JSON files below one directory:
///
///     jobs/<job>.json          what a job last did
///     live/<run>.json          a run that is going on
///     runs/<year-month>.jsonl  runs that have ended, a line each
///     conditions.json          what is wrong at present
///
/// Every call that changes something is durable on return. What is remembered in memory changes also where a file could
/// not be written, so the daemon goes on with the truth and reports the error. For one process at a time.
public final class JobStateStore: Sendable {
  public let directory: String
  /// Files that could not be used when the store was opened. Each was kept aside.
  public let problems: [ErrorReport]

  private struct Memory {
    var jobs: [JobID: JobState] = [:]
    var live: [RunID: RunRecord] = [:]
    var conditions: [String: Condition] = [:]
    /// Runs that ended since the store was opened.
    var ended: [EndedRuns.Key: Int] = [:]
  }
  private let memory: Mutex<Memory>
  /// Held while files change. Never taken while `memory` is held, so that readers do not wait for the disk.
  private let writing = Mutex(())
  private let log: RunLog
  private let observers = Mutex<[@Sendable (ConditionChange) -> Void]>([])

  /// Makes the directories and reads what is there. Live runs in it are those of a daemon that has died: see
  /// ``recoverInterrupted(now:)``.
  /// - Throws: `FileError` where the directory cannot be made or listed. No single file stops it.
  public init(directory: String, now: Timestamp) throws {
    self.directory = directory
    for name in ["jobs", "live", "runs"] { try DurableFile.makeDirectory("\(directory)/\(name)") }
    log = RunLog(directory: directory + "/runs")
    var memory = Memory()
    var problems: [ErrorReport] = []
    func load<Value: Codable>(_ type: Value.Type, _ path: String) -> Value? {
      do throws(JobStateError) {
        return try StateFile.read(type, from: path, now: now)
      } catch {
        problems.append(ErrorReport(error))
        return nil
      }
    }
    func files(_ part: String) throws -> [String] {
      try DurableFile.names(in: "\(directory)/\(part)").filter { $0.hasSuffix(".json") }
        .map { "\(directory)/\(part)/\($0)" }
    }
    for path in try files("jobs") {
      if let state = load(JobState.self, path) { memory.jobs[state.job] = state }
    }
    for path in try files("live") {
      if let record = load(RunRecord.self, path) { memory.live[record.run] = record }
    }
    for condition in load(ConditionList.self, directory + "/conditions.json")?.conditions ?? [] {
      memory.conditions[condition.id] = condition
    }
    self.problems = problems
    self.memory = Mutex(memory)
  }

  // MARK: Jobs

  /// What is remembered of a job; the state of a job that never ran where there is nothing.
  public func state(of job: JobID) -> JobState { memory.withLock { $0.jobs[job] } ?? JobState(job: job) }

  /// Notes that the schedule's time `due` has been dealt with without a run, such as a missed one that is skipped.
  public func markDue(_ due: Timestamp, of job: JobID) throws {
    try writing.withLock { _ in
      try save(change(job) { $0.lastDue = max($0.lastDue ?? due, due) })
    }
  }

  /// Notes that times after `due` have not been dealt with, whatever was noted before: a wrong clock had been there.
  public func resetDue(_ due: Timestamp, of job: JobID) throws {
    try writing.withLock { _ in
      guard memory.withLock({ $0.jobs[job]?.lastDue.map { $0 > due } ?? false }) else { return }
      try save(change(job) { $0.lastDue = due })
    }
  }

  // MARK: Runs

  /// The runs going on, oldest first.
  public func liveRuns() -> [RunRecord] { memory.withLock { Array($0.live.values) }.sorted { $0.run < $1.run } }

  public func liveRun(_ run: RunID) -> RunRecord? { memory.withLock { $0.live[run] } }

  /// A run begins. What was due is noted as dealt with, unless the run was asked for by hand.
  ///
  /// Its own file is enough: after a crash ``recoverInterrupted(now:)`` takes from it what the job's file lacks.
  public func begin(_ record: RunRecord) throws {
    try writing.withLock { _ in
      memory.withLock { $0.live[record.run] = record }
      _ = change(record.job) { $0.begin(record) }
      try StateFile.write(record, to: livePath(record.run))
    }
  }

  /// How far a live run has come. Goes to its file when the phase changes, to memory always.
  public func update(_ record: RunRecord) throws {
    try writing.withLock { _ in
      let previous = memory.withLock { $0.live.updateValue(record, forKey: record.run) }
      if previous?.progress?.phase != record.progress?.phase {
        try StateFile.write(record, to: livePath(record.run))
      }
    }
  }

  /// A run has ended: `outcome` and `finished` are set. Also for a run that never began, such as a skipped one.
  public func end(_ record: RunRecord) throws {
    precondition(record.outcome != nil && record.finished != nil, "ended a run without an outcome")
    try writing.withLock { _ in
      memory.withLock { memory in
        memory.live[record.run] = nil
        if let outcome = record.outcome {
          memory.ended[EndedRuns.Key(job: record.job, kind: record.kind, outcome: outcome), default: 0] += 1
        }
      }
      let state = change(record.job) { $0.end(record) }
      try log.append(record)
      try save(state)
      try DurableFile.remove(livePath(record.run))
    }
  }

  /// Ends the live runs that a dead daemon left: as it had recorded them where it still could, otherwise as interrupted.
  /// To be called once, before any run begins.
  /// - Returns: Runs that were interrupted, oldest first.
  public func recoverInterrupted(now: Timestamp) throws -> [RunRecord] {
    var interrupted: [RunRecord] = []
    let ends = try log.ends(of: memory.withLock { $0.live })
    for var record in liveRuns() {
      let id = record.run
      if let ended = ends[id] {
        try writing.withLock { _ in
          _ = memory.withLock { $0.live.removeValue(forKey: id) }
          try save(change(ended.job) { $0.end(ended) })
          try DurableFile.remove(livePath(id))
        }
        continue
      }
      record.outcome = .interrupted
      record.finished = max(now, record.started)
      record.progress = nil
      record.error = ErrorReport(
        summary: "run \"\(record.run)\" of job \"\(record.job)\" was interrupted",
        detail:
          "The daemon ended while the run was going on; when is not known, the time given is that of its next start."
      )
      try end(record)
      interrupted.append(record)
    }
    return interrupted
  }

  /// Ended runs, newest first.
  /// - Throws: `FileError` where a file cannot be read at all.
  public func runs(of job: JobID? = nil, limit: Int = 100) throws -> RunHistory {
    try log.newestFirst(limit: limit, matching: job.map { "\"\($0)\"" }) { job == nil || $0.job == job }
  }

  /// Forgets runs that ended more than `span` ago, by the month: one goes once its last day is so old.
  ///
  /// A clock that is wrong makes nothing old: the newest run that is remembered counts as the present where it ended
  /// before `now`.
  /// - Returns: How many months went.
  public func pruneHistory(olderThan span: Duration, now: Timestamp) throws -> Int {
    guard let newest = try runs(limit: 1).runs.first?.finished else { return 0 }
    return try writing.withLock { _ in try log.prune(before: min(now, newest) - span) }
  }

  /// A run, live or ended; nil where none has this id.
  public func run(_ id: RunID) throws -> RunRecord? {
    if let live = liveRun(id) { return live }
    return try log.newestFirst(limit: 1, matching: id.text, where: { $0.run == id }).runs.first
  }

  /// How many runs ended since this store was opened, by job and outcome, sorted.
  public func endedRuns() -> [EndedRuns] {
    memory.withLock { $0.ended }.map { EndedRuns($0.key, count: $0.value) }
      .sorted { ($0.job.rawValue, $0.outcome.rawValue) < ($1.job.rawValue, $1.outcome.rawValue) }
  }

  // MARK: Conditions

  /// What is wrong at present, longest first.
  public func conditions() -> [Condition] {
    memory.withLock { Array($0.conditions.values) }.sorted { ($0.since, $0.id) < ($1.since, $1.id) }
  }

  /// From now on `body` hears of each condition that is raised, gets another severity or is resolved: on the thread that
  /// changes it, once the change is in memory, also where it could not be written. It must not block, nor call this store.
  public func observeConditions(_ body: @escaping @Sendable (ConditionChange) -> Void) {
    observers.withLock { $0.append(body) }
  }

  private func tell(_ change: ConditionChange) {
    for observer in observers.withLock({ $0 }) { observer(change) }
  }
  /// Whether a condition is raised now: one that follows from it need not be told as well.
  public func isRaised(_ id: String) -> Bool { memory.withLock { $0.conditions[id] != nil } }

  /// Something is wrong. Raised again under the same id it keeps the time since when.
  /// - Returns: Whether it is new, or worse or better than it was: worth telling somebody.
  @discardableResult
  public func raise(_ condition: Condition) throws -> Bool {
    try writing.withLock { _ in
      let (previous, current) = memory.withLock { memory -> (Condition?, Condition) in
        var condition = condition
        let previous = memory.conditions[condition.id]
        condition.since = previous?.since ?? condition.since
        memory.conditions[condition.id] = condition
        return (previous, condition)
      }
      let isNews = previous?.severity != current.severity
      if isNews { tell(.raised(current)) }
      if previous != current { try saveConditions() }
      return isNews
    }
  }

  /// It is right again.
  /// - Returns: What was wrong; nil where nothing was.
  @discardableResult
  public func resolve(_ id: String) throws -> Condition? {
    try writing.withLock { _ in
      guard let previous = memory.withLock({ $0.conditions.removeValue(forKey: id) }) else { return nil }
      tell(.resolved(previous))
      try saveConditions()
      return previous
    }
  }

  /// Ends conditions about what there is no more: nobody else would.
  /// - Returns: Those it ended.
  @discardableResult
  public func resolveConditions(where isGone: (Condition) -> Bool) throws -> [Condition] {
    try conditions().filter(isGone).compactMap { try resolve($0.id) }
  }

  // MARK: Documents of others

  /// A versioned file of the state directory that some other part of the daemon keeps; nil where there is none.
  /// - Throws: ``JobStateError``; a file that cannot be understood has been moved aside then.
  public func document<Value: Codable>(_ type: Value.Type, named name: String, now: Timestamp) throws -> Value? {
    try StateFile.read(type, from: "\(directory)/\(name)", now: now)
  }

  /// Durable on return.
  public func write<Value: Codable>(_ value: Value, named name: String) throws {
    try StateFile.write(value, to: "\(directory)/\(name)")
  }

  // MARK: Files

  private struct ConditionList: Codable { var conditions: [Condition] }

  private func livePath(_ run: RunID) -> String { "\(directory)/live/\(run).json" }

  private func change(_ job: JobID, _ body: (inout JobState) -> Void) -> JobState {
    memory.withLock { memory in
      var state = memory.jobs[job] ?? JobState(job: job)
      body(&state)
      memory.jobs[job] = state
      return state
    }
  }

  private func save(_ state: JobState) throws { try StateFile.write(state, to: "\(directory)/jobs/\(state.job).json") }

  private func saveConditions() throws {
    try StateFile.write(ConditionList(conditions: conditions()), to: directory + "/conditions.json")
  }
}
