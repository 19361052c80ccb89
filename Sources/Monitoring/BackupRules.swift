public import BackupModel
internal import Scheduling

/// Whether the backups that should be there are, from what the stores hold.
public enum BackupRules {
  /// How old the newest may be where neither configuration nor schedule says.
  static let standardAges: [BackupClass: Duration] = [
    .physical: .seconds(24 * 3600), .logical: .seconds(8 * 3600), .tables: .seconds(3600),
  ]

  public static func judge(_ observations: Observations) -> [Judgement] {
    observations.clusters.flatMap { cluster in
      let jobs = observations.jobs.filter { $0.job.cluster == cluster.cluster }
      let classes = Set(jobs.compactMap(\.job.makes)).sorted { $0.rawValue < $1.rawValue }
      return classes.map { age($0, cluster, jobs, observations) }
        + jobs.compactMap { $0.job.promisedCount == nil ? nil : count($0, cluster) }
        + damagedBackups(cluster) + [catalog(cluster)]
    }
  }

  // MARK: Catalogue

  static func catalog(_ cluster: ClusterObservation) -> Judgement {
    let id = ConditionKind.repository.id("\(cluster.cluster)")
    switch cluster.catalog {
    case .none, .silent: return Judgement(id, .unclear)
    case .value: return Judgement(id, .right)
    case .failed(let report, _):
      let wrong = ErrorReport(
        summary: "what the stores hold of cluster \"\(cluster.cluster)\" cannot be read",
        detail: [report.summary + ".", report.detail].compactMap { $0 }.joined(separator: " "),
        hint: report.hint ?? "See \"backupctl repository info\".")
      return Judgement(id, .wrong(.critical, wrong), delay: 1, causes: [ConditionKind.storeUnreachable.id("*")])
    }
  }

  // MARK: Age

  /// How old the newest backup of a class may be.
  ///
  /// As `monitoring` says; otherwise, for scheduled jobs, the longest time between two of the next times of the schedule
  /// and what a run takes, of several jobs the least; otherwise the default.
  public static func limit(
    _ kind: BackupClass, _ jobs: [JobObservation], _ now: Timestamp, _ settings: MonitorSettings
  ) -> Duration {
    if let configured = settings.ages[kind] { return configured }
    let scheduled = jobs.filter { $0.job.makes == kind }.compactMap { job -> Duration? in
      guard let schedule = job.schedule(now), let gap = schedule.longestGap else { return nil }
      return gap + schedule.timetable.jitter + JobRules.allowance(job, schedule) + settings.grace
    }
    return scheduled.min() ?? standardAges[kind] ?? .seconds(24 * 3600)
  }

  private static func newest(
    _ kind: BackupClass, _ backups: [Backup], _ jobs: [JobObservation]
  ) -> Backup? {
    backups.filter { backup in
      guard backup.deleted == nil else { return false }
      let made = jobs.first { $0.job.id == backup.job }?.job.makes
      return (made ?? (backup.kind == .physical ? .physical : .logical)) == kind
    }.max { $0.finished < $1.finished }
  }

  static func age(
    _ kind: BackupClass, _ cluster: ClusterObservation, _ jobs: [JobObservation], _ observations: Observations
  ) -> Judgement {
    let id = ConditionKind.backupAge.id("\(cluster.cluster):\(kind.rawValue)")
    guard let catalog = cluster.catalog.value else { return Judgement(id, .unclear) }
    let makers = jobs.filter { $0.job.makes == kind }
    let limit = limit(kind, jobs, observations.now, observations.settings)
    let newest = newest(kind, catalog.backups, jobs)
    // Nobody has a backup the moment a job is configured.
    let since = newest?.started ?? makers.map(\.configuredSince).min() ?? observations.now
    guard observations.now - since > limit else { return Judgement(id, .right) }
    let what = kind == .tables ? "dump of tables" : "\(kind.rawValue) backup"
    let facts =
      newest.map { "The newest, \($0.id), shows the cluster as of \($0.started.wholeSeconds)." }
      ?? "No store holds one."
    let job = makers.first.map { "\($0.job.id)" } ?? "JOB"
    let report = ErrorReport(
      summary: newest == nil
        ? "cluster \"\(cluster.cluster)\" has no \(what)"
        : "the newest \(what) of cluster \"\(cluster.cluster)\" is too old",
      detail: facts + " It may be \(DurationText.format(limit.whole)) old.",
      hint: "Take one now with \"backupctl run \(job)\"; \"backupctl runs \(job)\" shows why there is none.")
    let isCritical = newest == nil || observations.now - since > limit * 2
    return Judgement(
      id, .wrong(isCritical ? .critical : .warning, report),
      causes: makers.flatMap { ["job:\($0.job.id)", ConditionKind.noSuccess.id("\($0.job.id)")] })
  }

  // MARK: Count

  static func count(_ job: JobObservation, _ cluster: ClusterObservation) -> Judgement {
    let id = ConditionKind.backupCount.id("\(job.job.id)")
    guard let catalog = cluster.catalog.value, let promise = job.job.promisedCount else {
      return Judgement(id, .unclear)
    }
    // Also those taken over from another job: their runs name them.
    let runs = job.runs.filter { $0.outcome == .succeeded && ($0.finished ?? $0.started) < catalog.asked }
    let made = Set(runs.compactMap(\.backup))
    let there = Set(
      catalog.backups.filter { $0.deleted == nil && ($0.job == job.job.id || made.contains($0.id)) }.map(\.id))
    let promised = min(promise, max(made.count, there.count))
    guard there.count < promised else { return Judgement(id, .right) }
    let report = ErrorReport(
      summary: "fewer backups of job \"\(job.job.id)\" exist than it keeps",
      detail: "\(there.count) exist of \(promised) that its last runs made and its \"keep\" promises.",
      hint: "See \"backupctl backups\"; \"backupctl prune --dry-run\" says why each stays or goes. "
        + "Somebody may have deleted objects in the store.")
    return Judgement(id, .wrong(.critical, report), delay: 1)
  }

  // MARK: Damage

  static func damagedBackups(_ cluster: ClusterObservation) -> [Judgement] {
    guard let catalog = cluster.catalog.value else { return [.unclear(all: .damagedBackup)] }
    return catalog.damagedBackups.map {
      Judgement(ConditionKind.damagedBackup.id("\($0.backup)"), .wrong(.critical, $0.report))
    }
  }
}
