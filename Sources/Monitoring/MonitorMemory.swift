internal import BackupModel
internal import JobState
internal import Synchronization

/// What the monitor remembers from look to look.
struct MonitorMemory: Sendable {
  /// Runs of a job as they were read when it last ended one.
  private struct Read: Sendable {
    var ended: Timestamp?
    var run: RunID?
    var runs: [RunRecord]
  }

  private var read: [JobID: Read] = [:]
  private var problems: [JobID: ErrorReport] = [:]
  private var tracks: [ClusterID: WALTrack] = [:]
  private var trends: [String: DiskTrend] = [:]
  private var schedules: [JobID: ScheduleFacts] = [:]
  private static let runsRead = 30
  /// As many may have ended between two looks.
  private static let runsExpected = 5

  var historyProblem: ErrorReport? { problems.min { $0.key < $1.key }?.value }

  /// The newest ended runs of a job, newest first. Read again only after one has ended, and then only what is new.
  mutating func runs(of job: JobID, _ store: JobStateStore) -> [RunRecord] {
    let state = store.state(of: job)
    // What could not be read may have been mended.
    let known = problems[job] == nil ? read[job] : nil
    if let known, known.ended == state.lastFinished, known.run == state.lastRun { return known.runs }
    do {
      var history = try store.runs(of: job, limit: known == nil ? Self.runsRead : Self.runsExpected)
      if let last = known?.runs.first, let place = history.runs.firstIndex(where: { $0.run == last.run }) {
        history.runs = Array((history.runs[..<place] + (known?.runs ?? [])).prefix(Self.runsRead))
      } else if known != nil {
        history = try store.runs(of: job, limit: Self.runsRead)
      }
      problems[job] = history.problems.first
      let runs = history.runs.map(Self.trimmed)
      read[job] = Read(ended: state.lastFinished, run: state.lastRun, runs: runs)
      return runs
    } catch {
      problems[job] = ErrorReport(error)
      return read[job]?.runs ?? []
    }
  }

  /// Without what no rule looks at: there may be a thousand jobs.
  private static func trimmed(_ record: RunRecord) -> RunRecord {
    var record = record
    record.phases = []
    record.requests = nil
    record.warnings = Array(record.warnings.prefix(1))
    return record
  }

  /// Completes what was seen of a job by what its schedule comes to.
  mutating func schedule(_ observation: inout JobObservation, now: Timestamp) {
    observation.known = schedules[observation.job.id]
    schedules[observation.job.id] = observation.schedule(now)
    observation.known = schedules[observation.job.id]
  }

  mutating func unstored(_ cluster: ClusterID, server: LSN?, wal: WALStatus, required: Set<StoreID>) -> Int64? {
    let known = wal.stores.filter { required.contains($0.name) }.map(\.durableLSN)
    let durable = known.contains { $0 == nil } ? nil : known.compactMap { $0 }.min()
    return tracks[cluster, default: WALTrack()].note(server: server, durable: durable)
  }

  /// - Parameter horizon: So far ahead is looked; a trend of less than a part of it tells of one file.
  mutating func timeLeft(_ disk: DiskSpace, at uptime: Duration, horizon: Duration) -> Duration? {
    let shortest = horizon / 36
    return trends[disk.name, default: DiskTrend()].timeLeft(
      free: disk.freeBytes, at: uptime, spacing: shortest / 10, shortest: shortest)
  }

  mutating func forget(except jobs: Set<JobID>) {
    read = read.filter { jobs.contains($0.key) }
    problems = problems.filter { jobs.contains($0.key) }
    schedules = schedules.filter { jobs.contains($0.key) }
  }
}

/// Since when jobs are configured as they are: the file `monitor.json`. A restart must not make each of them new.
struct ConfiguredJobs: Sendable, Codable, Hashable {
  struct Entry: Sendable, Codable, Hashable {
    var schedule: String?
    var since: Timestamp
  }
  /// By name.
  var jobs: [String: Entry] = [:]

  /// Takes over what is configured now.
  /// - Returns: Whether anything is other than before.
  mutating func update(_ configured: [MonitoredJob], now: Timestamp) -> Bool {
    var new: [String: Entry] = [:]
    for job in configured {
      let schedule = job.timetable?.schedule.text
      let old = jobs[job.id.rawValue]
      new[job.id.rawValue] = old.flatMap { $0.schedule == schedule ? $0 : nil } ?? Entry(schedule: schedule, since: now)
    }
    defer { jobs = new }
    return new != jobs
  }

  func since(_ job: JobID, now: Timestamp) -> Timestamp {
    min(jobs[job.rawValue]?.since ?? now, now)
  }
}
