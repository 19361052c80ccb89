public import BackupModel

/// What is remembered of one job from run to run: the file `jobs/<job>.json`.
public struct JobState: Sendable, Hashable, Codable {
  public var job: JobID
  /// The last time the schedule named that has been dealt with, by a run or by skipping it. What is due next is computed
  /// from here, so a restart forgets nothing.
  public var lastDue: Timestamp?
  /// The run that began last, also while it is still going.
  public var lastRun: RunID?
  public var lastStarted: Timestamp?
  /// When the last run that has ended did, and how.
  public var lastFinished: Timestamp?
  public var lastOutcome: RunOutcome?
  /// When a run last ended successfully.
  public var lastSuccess: Timestamp?
  /// The backup which that run made, copied or restored; nil where it did none of these.
  public var lastBackup: BackupID?
  /// Runs that failed or were incomplete since the last success; cancelled, interrupted and skipped ones do not count.
  public var consecutiveFailures: Int
  /// Why the last run that did not succeed did not.
  public var lastError: ErrorReport?

  public init(job: JobID) {
    self.job = job
    consecutiveFailures = 0
  }

  mutating func begin(_ record: RunRecord) {
    if record.trigger != .manual { lastDue = max(lastDue ?? record.due, record.due) }
    lastRun = record.run
    lastStarted = record.started
  }

  /// Takes over how a run ended. Taking the same end over again changes nothing.
  mutating func end(_ record: RunRecord) {
    guard let outcome = record.outcome, !(lastRun == record.run && lastFinished == record.finished) else { return }
    begin(record)
    lastFinished = record.finished
    lastOutcome = outcome
    switch outcome {
    case .succeeded:
      lastSuccess = record.finished
      lastBackup = record.backup
      consecutiveFailures = 0
      lastError = nil
    case .failed, .incomplete:
      consecutiveFailures = max(consecutiveFailures, 0) &+ 1
      lastError = record.error
    case .cancelled, .interrupted, .skipped:
      lastError = record.error
    }
  }
}
