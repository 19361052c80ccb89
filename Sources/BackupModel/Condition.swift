/// Something wrong that `status` shows and alerts speak of.
public struct Condition: Sendable, Hashable, Codable {
  public enum Severity: String, Sendable, Hashable, Codable, Comparable, CaseIterable {
    case warning, critical
    public static func < (a: Self, b: Self) -> Bool { a == .warning && b == .critical }
  }
  /// Stable: `wal:oauth`, `job:nightly`, `configuration`.
  public var id: String
  public var severity: Severity
  /// When it was raised. Raised again while it lasts it keeps this, whatever becomes of severity and report.
  public var since: Timestamp
  public var report: ErrorReport
  /// What it is about, as far as it is about one of them; files of before these were kept have none.
  public var cluster: ClusterID?
  public var tier: TierID?
  public var job: JobID?
  public var store: StoreID?

  public init(
    id: String, severity: Severity, since: Timestamp, report: ErrorReport, cluster: ClusterID? = nil,
    tier: TierID? = nil, job: JobID? = nil, store: StoreID? = nil
  ) {
    self.id = id
    self.severity = severity
    self.since = since
    self.report = report
    self.cluster = cluster
    self.tier = tier
    self.job = job
    self.store = store
  }
}

extension Condition {
  /// What is wrong, and with which job where the words do not say so: several jobs fail for one reason.
  public var sentence: String {
    guard let job, !report.summary.contains("\"\(job)\"") else { return report.summary }
    return "job \"\(job)\": \(report.summary)"
  }
}

/// What became of a condition.
public enum ConditionChange: Sendable, Hashable {
  /// New, or of another severity than before.
  case raised(Condition)
  case resolved(Condition)
}
