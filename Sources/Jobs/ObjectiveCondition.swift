internal import BackupModel

/// The conditions of objectives: their names and texts.
enum ObjectiveCondition {
  private static let rpoPrefix = "objective-rpo:"
  private static let rtoPrefix = "objective-rto:"

  static func rpo(_ tier: TierID) -> String { rpoPrefix + tier.rawValue }
  static func rto(_ tier: TierID) -> String { rtoPrefix + tier.rawValue }

  /// Nil for a condition of something else.
  static func tier(of id: String) -> TierID? {
    for prefix in [rpoPrefix, rtoPrefix] where id.hasPrefix(prefix) {
      return TierID(rawValue: String(id.dropFirst(prefix.count)))
    }
    return nil
  }

  static func rpoReport(_ status: TierStatus, _ severity: Condition.Severity) -> ErrorReport {
    let objective = span(status.rpoSeconds)
    let promise = "Its RPO is \(objective)."
    let hint =
      "See what holds up WAL and backups: \"backupctl status\", \"backupctl wal status\", \"backupctl jobs\"."
    guard let road = status.roads.first else {
      return ErrorReport(
        summary: "tier \"\(status.name)\" cannot be restored at all",
        detail: "No store holds a backup of cluster \"\(status.cluster)\" that restores. \(promise)",
        hint: "Take one with \"backupctl run\"; \"backupctl jobs\" tells why there is none.")
    }
    let place = road.store.map { "store \"\($0)\"" } ?? "the landing directory"
    let reached = "The newest state that a restore reaches is of \(road.to), by \(means(road)) in \(place). \(promise)"
    if severity == .critical {
      return ErrorReport(
        summary: "tier \"\(status.name)\" would lose more than its RPO of \(objective)", detail: reached, hint: hint)
    }
    let left = status.breachSeconds.map { " in \(span($0))" } ?? " soon"
    let why = road.means == .wal ? "WAL keeps lagging" : "no backup succeeds before"
    return ErrorReport(
      summary: "RPO of tier \"\(status.name)\" breaks\(left) if \(why)", detail: reached, hint: hint)
  }

  static func rtoReport(_ status: TierStatus, _ severity: Condition.Severity) -> ErrorReport {
    let takes = status.recoverySeconds.map(span) ?? "too long"
    let objective = span(status.rtoSeconds)
    return ErrorReport(
      summary: severity == .critical
        ? "restoring tier \"\(status.name)\" takes longer than its RTO of \(objective)"
        : "restoring tier \"\(status.name)\" will soon take longer than its RTO of \(objective)",
      detail: "It would take \(takes): \(status.recoveryBasis).",
      hint: "Take physical backups more often, so that less WAL is replayed; restore from a nearer store.")
  }

  private static func means(_ road: RecoveryRoad) -> String {
    switch road.means {
    case .wal: "WAL"
    case .physical: "a base backup"
    case .logical: "a logical backup"
    }
  }

  private static func span(_ seconds: Double) -> String {
    DurationText.format(.seconds(Int64(min(max(seconds, 0), 1e10))))
  }
}
