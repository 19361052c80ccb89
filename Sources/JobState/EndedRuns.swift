public import BackupModel

/// How many runs of a job ended in one way.
public struct EndedRuns: Sendable, Hashable {
  struct Key: Sendable, Hashable {
    var job: JobID
    var kind: String
    var outcome: RunOutcome
  }
  public var job: JobID
  public var kind: String
  public var outcome: RunOutcome
  public var count: Int

  init(_ key: Key, count: Int) {
    job = key.job
    kind = key.kind
    outcome = key.outcome
    self.count = count
  }
}
