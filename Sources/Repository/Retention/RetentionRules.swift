public import BackupModel

/// What a cluster's configuration promises to keep.
public struct RetentionRules: Sendable, Hashable {
  /// Jobs that are configured; one without a policy keeps its backups for ever.
  public var policies: [JobID: RetentionPolicy?]
  /// Any instant in this span up to now is to stay reachable.
  public var recoveryWindow: Duration?
  /// The job whose backups all are, whoever made them: of an on-copy store the job that copies. Nil: each its own.
  public var owner: JobID?

  public init(policies: [JobID: RetentionPolicy?], recoveryWindow: Duration?) {
    self.policies = policies
    self.recoveryWindow = recoveryWindow
  }

  /// Whether a backup stays, and why.
  public struct Verdict: Sendable, Hashable {
    public var keeps: Bool
    public var reason: String
  }

  /// Judges the backups of one lineage, as one store holds them.
  /// - Parameters:
  ///   - backups: Those that are not deleted, by sequence number.
  ///   - claims: Jobs that count backups of others as their own.
  ///   - restorable: The newest that can be restored; nil keeps all.
  public func verdicts(
    on backups: [Backup], claims: [BackupID: Set<JobID>] = [:], restorable: BackupID?, now: Timestamp
  ) -> [BackupID: Verdict] {
    let window = windowBackup(backups, now)
    var verdicts: [BackupID: Verdict] = [:]
    var newer: [JobID: Int] = [:]
    var periods = NewestOfPeriods(policies)
    for backup in backups.reversed() {
      var owners: [(job: JobID, number: Int)] = []
      let jobs = owner.map { [$0] } ?? (claims[backup.id] ?? []).union(backup.job.map { [$0] } ?? [])
      var isNewestOf: [JobID: String] = [:]
      for job in jobs.sorted() {
        newer[job, default: 0] += 1
        owners.append((job, newer[job]!))
        isNewestOf[job] = periods.take(backup, of: job)
      }
      verdicts[backup.id] = verdict(backup, owners, isNewestOf, isWindow: backup.id == window, restorable, now)
    }
    return verdicts
  }

  /// The newest that was complete before the recovery window begins: replay to its first instants starts there.
  private func windowBackup(_ backups: [Backup], _ now: Timestamp) -> BackupID? {
    guard let recoveryWindow else { return nil }
    return backups.last { $0.kind == .physical && $0.finished <= now - recoveryWindow }?.id
  }

  private func verdict(
    _ backup: Backup, _ owners: [(job: JobID, number: Int)], _ isNewestOf: [JobID: String], isWindow: Bool,
    _ restorable: BackupID?, _ now: Timestamp
  ) -> Verdict {
    func keep(_ reason: String) -> Verdict { Verdict(keeps: true, reason: reason) }
    guard let restorable else { return keep("no backup of this store is known to be restorable") }
    if owners.isEmpty { return keep("it was made by no job") }
    var promises: [String] = []
    for owner in owners {
      let verdict = promise(backup, owner.job, owner.number, now)
      if verdict.keeps { return verdict }
      if let period = isNewestOf[owner.job] { return keep(period) }
      promises.append(verdict.reason)
    }
    if isWindow, let recoveryWindow {
      return keep("the recovery window of \(DurationText.format(recoveryWindow)) begins after it")
    }
    if backup.id == restorable { return keep("it is the last that can be restored") }
    return Verdict(keeps: false, reason: promises.joined(separator: "; "))
  }

  /// What one job promises.
  /// - Parameter number: 1 for the newest of its job.
  private func promise(_ backup: Backup, _ job: JobID, _ number: Int, _ now: Timestamp) -> Verdict {
    func keep(_ reason: String) -> Verdict { Verdict(keeps: true, reason: reason) }
    guard let configured = policies[job] else { return keep("its job \"\(job)\" is not configured") }
    guard let policy = configured else { return keep("job \"\(job)\" keeps its backups for ever") }
    if let count = policy.count, number <= count { return keep("it is number \(number) of the newest \(count)") }
    if let span = policy.spanSeconds {
      let end = backup.finished + .seconds(span)
      if end > now { return keep("it is younger than \(DurationText.format(.seconds(span))), until \(end)") }
      if number <= policy.atLeast { return keep("it is number \(number) of at least \(policy.atLeast)") }
    }
    return Verdict(keeps: false, reason: "job \"\(job)\" keeps \(policy.text)")
  }
}

/// Finds the newest backup of each period as backups are named from the newest on.
private struct NewestOfPeriods {
  private struct Key: Hashable {
    var job: JobID
    var period: RetentionPeriod
  }
  private let policies: [JobID: RetentionPolicy?]
  /// The last period that was counted, and how many were.
  private var seen: [Key: (last: Int64, count: Int)] = [:]

  init(_ policies: [JobID: RetentionPolicy?]) { self.policies = policies }

  /// - Returns: Why it stays; nil where it is not the newest of a period that counts.
  mutating func take(_ backup: Backup, of job: JobID) -> String? {
    guard let policy = policies[job].flatMap({ $0 }) else { return nil }
    var reason: String?
    for period in RetentionPeriod.allCases {
      guard let wanted = policy.periods[period] else { continue }
      let key = Key(job: job, period: period)
      let number = period.number(of: backup.finished)
      let before = seen[key]
      if before?.last == number || before?.count ?? 0 >= wanted { continue }
      let count = (before?.count ?? 0) + 1
      seen[key] = (number, count)
      reason = reason ?? "it is \(period.rawValue) number \(count) of \(wanted)"
    }
    return reason
  }
}
