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
  ///   - restorable: The newest that can be restored; nil keeps all.
  public func verdicts(
    on backups: [Backup], restorable: BackupID?, now: Timestamp
  ) -> [BackupID: Verdict] {
    let window = windowBackup(backups, now)
    var verdicts: [BackupID: Verdict] = [:]
    var newer: [JobID: Int] = [:]
    for backup in backups.reversed() {
      let number = backup.job.map { newer[$0, default: 0] + 1 } ?? 0
      if let job = backup.job { newer[job] = number }
      verdicts[backup.id] = verdict(backup, number, isWindow: backup.id == window, restorable, now)
    }
    return verdicts
  }

  /// The newest that was complete before the recovery window begins: replay to its first instants starts there.
  private func windowBackup(_ backups: [Backup], _ now: Timestamp) -> BackupID? {
    guard let recoveryWindow else { return nil }
    return backups.last { $0.kind == .physical && $0.finished <= now - recoveryWindow }?.id
  }

  /// - Parameter number: 1 for the newest of its job.
  private func verdict(
    _ backup: Backup, _ number: Int, isWindow: Bool, _ restorable: BackupID?, _ now: Timestamp
  ) -> Verdict {
    func keep(_ reason: String) -> Verdict { Verdict(keeps: true, reason: reason) }
    guard let restorable else { return keep("no backup of this store is known to be restorable") }
    guard let job = backup.job else { return keep("it was made by no job") }
    guard let configured = policies[job] else { return keep("its job \"\(job)\" is not configured") }
    guard let policy = configured else { return keep("job \"\(job)\" keeps its backups for ever") }
    if let count = policy.count, number <= count { return keep("it is number \(number) of the newest \(count)") }
    if let span = policy.spanSeconds {
      let end = backup.finished + .seconds(span)
      if end > now { return keep("it is younger than \(DurationText.format(.seconds(span))), until \(end)") }
      if number <= policy.atLeast { return keep("it is number \(number) of at least \(policy.atLeast)") }
    }
    if isWindow, let recoveryWindow {
      return keep("the recovery window of \(DurationText.format(recoveryWindow)) begins after it")
    }
    if backup.id == restorable { return keep("it is the last that can be restored") }
    return Verdict(keeps: false, reason: "job \"\(job)\" keeps \(policy.text)")
  }
}

extension RetentionPolicy {
  /// `30d`, `the newest 7`, or both.
  public var text: String {
    [
      spanSeconds.map { "\(DurationText.format(.seconds($0))), at least \(atLeast)" },
      count.map { "the newest \($0)" },
    ].compactMap { $0 }.joined(separator: " and ")
  }
}
