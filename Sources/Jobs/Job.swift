public import BackupModel
public import BlockingWork
internal import JobState
internal import Logging
internal import Repository
public import Scheduling
internal import WALArchiving

/// Jobs that may hold each other up: a long backup never delays WAL or monitoring.
public enum LaneGroup: String, Sendable, Hashable, CaseIterable { case backup, validation, monitoring }

/// What happens when a job is due while its last run still goes on or waits.
public enum Overlap: String, Sendable, Hashable, CaseIterable {
  /// The new run waits for the old one; one at most waits.
  case queue
  /// There is no new run.
  case skip
}

/// Something that runs again and again.
public struct Job: Sendable {
  public var id: JobID
  /// As the configuration names it: `physical`.
  public var kind: String
  public var cluster: ClusterID
  public var group: LaneGroup
  /// Nil: only by hand.
  public var timetable: Timetable?
  /// A run that takes longer is cancelled and failed.
  public var deadline: Duration
  /// Attempts after the first.
  public var retries: Int
  public var overlap: Overlap
  /// Of runs that wait for the same lanes, those of the lowest rank go first.
  public var rank: Int
  public var body: any JobBody

  public init(
    id: JobID, kind: String, cluster: ClusterID, group: LaneGroup = .backup, timetable: Timetable? = nil,
    deadline: Duration = .seconds(86400), retries: Int = 2, overlap: Overlap = .queue, rank: Int = 50,
    body: any JobBody
  ) {
    self.id = id
    self.kind = kind
    self.cluster = cluster
    self.group = group
    self.timetable = timetable
    self.deadline = deadline
    self.retries = retries
    self.overlap = overlap
    self.rank = rank
    self.body = body
  }
}

/// What a job of one kind does.
public protocol JobBody: Sendable {
  /// Runs of one cluster that take its backups take turns.
  var isExclusive: Bool { get }
  /// Whether what another job made is as good as what this one would make.
  func accepts(_ other: any JobBody) -> Bool
  /// One attempt.
  /// - Returns: How it ended, where it did not fail.
  /// - Throws: Why it failed; `CancellationError` once ``RunContext/cancellation`` is cancelled.
  func attempt(_ context: RunContext) async throws -> RunResult
}

/// How an attempt ended that did not fail.
public struct RunResult: Sendable {
  /// Nil where all is done; why the run counts as incomplete otherwise.
  public var incomplete: ErrorReport?
  /// What a queued run of the same cluster may take over.
  public var backup: BackupID?

  public init(incomplete: ErrorReport? = nil, backup: BackupID? = nil) {
    self.incomplete = incomplete
    self.backup = backup
  }
}

/// What an attempt has to work with.
public struct RunContext: Sendable {
  let run: LiveRun
  let repository: Repository
  let stateDirectory: String
  /// Receives the cluster's WAL; nil where no job does.
  let archiver: WALArchiver?
  let state: JobStateStore
  let logger: Logger

  /// Cancelled by an operator, or when the deadline passes.
  public var cancellation: Cancellation { run.cancellation }

  /// Runs code that may block, on a lane of this run; its cancellation is also that of the run.
  func blocking<Result: Sendable>(_ body: @escaping @Sendable (Cancellation) throws -> Result) async throws -> Result {
    try await Lane(label: "\(run.job.group.rawValue).\(run.job.cluster)").run { [run] inner in
      let handler = run.cancellation.addHandler { inner.cancel() }
      defer { run.cancellation.removeHandler(handler) }
      return try body(inner)
    }
  }
}
