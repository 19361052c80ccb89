import BackupModel

/// The last drill of a job and those before it: an element of `backupctl drill --json`.
struct DrillDocument: JSONConvertible {
  /// How many earlier ones are shown.
  static let historyLength = 50

  let job: JobSummary
  /// Oldest first.
  private let ended: [RunRecord]

  private let current: RunRecord?

  /// - Parameters:
  ///   - runs: Of this job, oldest first.
  ///   - current: The one to report, where it has just ended, in whatever way.
  init(_ job: JobSummary, runs: [RunRecord], current: RunRecord? = nil) {
    self.job = job
    // One that was stopped or never begun tells nothing of the data.
    ended = runs.filter { $0.outcome == .succeeded || $0.outcome == .failed }
    self.current = current
  }

  var last: RunRecord? { current ?? ended.last }

  /// The last measured time against the median of those before it: 1.5 is half as long again; nil without both.
  var trend: Double? {
    let measured = ended.filter { $0.outcome == .succeeded }.compactMap { $0.drill?.measuredRTOSeconds }
    guard let last = measured.last, measured.count > 1 else { return nil }
    let earlier = measured.dropLast().sorted()
    let median = (earlier[(earlier.count - 1) / 2] + earlier[earlier.count / 2]) / 2
    return median > 0 ? last / median : nil
  }

  var json: JSONValue {
    .fields([
      "job": job.name, "cluster": job.cluster, "nextRun": job.nextRun, "running": job.running, "run": last?.run,
      "outcome": last?.outcome, "started": last?.started, "finished": last?.finished, "backup": last?.backup,
      "totalBytes": last?.totalBytes, "phases": last?.phases ?? [], "drill": last?.drill,
      "measuredRTOSeconds": last?.drill?.measuredRTOSeconds, "checks": last?.checks ?? [],
      "warnings": last?.warnings ?? [], "error": last?.error, "trend": trend, "history": ended.map(Measured.init),
    ])
  }

  private struct Measured: JSONConvertible {
    let record: RunRecord
    init(_ record: RunRecord) { self.record = record }
    var json: JSONValue {
      .fields([
        "run": record.run, "started": record.started, "outcome": record.outcome, "totalBytes": record.totalBytes,
        "measuredRTOSeconds": record.drill?.measuredRTOSeconds,
      ])
    }
  }

  /// For people.
  var text: String {
    guard let last else { return "\(job.name.rawValue.styled(.strong))  no drill yet" }
    var lines = [RunText(last).full]
    if let trend {
      let percent = Int(((trend - 1) * 100).rounded())
      lines.append("  trend   \(percent < 0 ? "\(-percent) % less" : "\(percent) % more") than the median before")
    }
    return lines.joined(separator: "\n")
  }
}
