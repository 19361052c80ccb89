public import BackupModel

/// A run that could not begin, or ended for a reason of the daemon's.
public enum JobsError: OperatorError {
  case noSuchJob(JobID, known: [JobID])
  case longRunning(JobID)
  case stopping
  case noSuchRun(RunID)
  case deadlinePassed(JobID, Duration, last: ErrorReport)
  /// Cancelled when its deadline passed, and it does not end.
  case stuck(JobID, Duration)
  /// Nothing keeps the WAL of this cluster.
  case noWALJob(ClusterID, known: [ClusterID])
  case storesMissing(BackupID, [StoreID: ErrorReport])

  public var summary: String {
    switch self {
    case .noSuchJob(let job, _): "there is no job \"\(job)\""
    case .longRunning(let job): "cannot run job \"\(job)\" by hand"
    case .stopping: "cannot run anything now"
    case .noSuchRun(let run): "there is no live run \"\(run)\""
    case .deadlinePassed(let job, _, _): "could not finish job \"\(job)\" in time"
    case .stuck(let job, _): "could not stop job \"\(job)\" at its deadline"
    case .noWALJob(let cluster, _): "cannot archive WAL of cluster \"\(cluster)\""
    case .storesMissing(let backup, _): "backup \"\(backup)\" is not in every required store"
    }
  }
  public var detail: String? {
    switch self {
    case .noSuchJob(_, let known):
      known.isEmpty ? nil : "The jobs are \(known.map { "\"\($0)\"" }.joined(separator: ", "))."
    case .longRunning: "It receives WAL for as long as the daemon runs."
    case .stopping: "The daemon is stopping."
    case .noWALJob(_, let known):
      "No job of kind wal keeps it"
        + (known.isEmpty ? "." : "; there is one for \(known.map { "\"\($0)\"" }.joined(separator: ", ")).")
    case .noSuchRun: "It has ended, or there never was one of this id."
    case .deadlinePassed(_, let limit, let last):
      "Its deadline of \(DurationText.format(limit)) passed; the run was cancelled. It ended with: \(last.summary)"
        + (last.detail.map { " (\($0))" } ?? "")
    case .stuck(_, let limit):
      "Its deadline of \(DurationText.format(limit)) passed, it was cancelled and does not end: it waits for a disk, a network file system or a server that does not answer. Other jobs go on; no other backup of its cluster begins."
    case .storesMissing(_, let causes):
      causes.sorted { $0.key < $1.key }
        .map { "\($0.key): \($0.value.summary)" + ($0.value.detail.map { " (\($0))" } ?? "") }.joined(separator: "; ")
    }
  }
  public var hint: String? {
    switch self {
    case .noSuchJob: "List the jobs with \"backupctl jobs\"."
    case .longRunning: "See how it is doing with \"backupctl wal status\"."
    case .stopping: "Ask again when it runs."
    case .noWALJob: "Configure a job of kind wal for the cluster, or correct the name after --cluster."
    case .noSuchRun: "List the runs with \"backupctl runs\"."
    case .stuck: "See what hangs (\"dmesg\", the stores' mounts), then \"systemctl restart backupd\"."
    case .deadlinePassed: "Look at the phases with \"backupctl runs\"; raise \"deadline\" if the work needs longer."
    case .storesMissing(_, let causes):
      causes.values.compactMap(\.hint).first ?? "Repair the store, then run the job again."
    }
  }
}
