public import BackupModel

/// What a cluster's configuration promises to keep.
public struct RetentionRules: Sendable, Hashable {
  /// Jobs that are configured; one without a policy keeps its backups for ever.
  public var policies: [JobID: RetentionPolicy?]
  /// Any instant in this span up to now is to stay reachable.
  public var recoveryWindow: Duration?

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
    for backup in backups.reversed() {
      var owners: [(job: JobID, number: Int)] = []
      for job in (claims[backup.id] ?? []).union(backup.job.map { [$0] } ?? []).sorted() {
        newer[job, default: 0] += 1
        owners.append((job, newer[job]!))
      }
      verdicts[backup.id] = verdict(backup, owners, isWindow: backup.id == window, restorable, now)
    }
    return verdicts
  }

  /// The newest that was complete before the recovery window begins: replay to its first instants starts there.
  private func windowBackup(_ backups: [Backup], _ now: Timestamp) -> BackupID? {
    guard let recoveryWindow else { return nil }
    return backups.last { $0.kind == .physical && $0.finished <= now - recoveryWindow }?.id
  }

  private func verdict(
    _ backup: Backup, _ owners: [(job: JobID, number: Int)], isWindow: Bool, _ restorable: BackupID?, _ now: Timestamp
  ) -> Verdict {
    func keep(_ reason: String) -> Verdict { Verdict(keeps: true, reason: reason) }
    guard let restorable else { return keep("no backup of this store is known to be restorable") }
    if owners.isEmpty { return keep("it was made by no job") }
    var promises: [String] = []
    for owner in owners {
      let verdict = promise(backup, owner.job, owner.number, now)
      if verdict.keeps { return verdict }
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
