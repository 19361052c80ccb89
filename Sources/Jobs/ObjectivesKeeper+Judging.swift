internal import BackupModel
internal import JobState
internal import Logging
internal import Objectives

/// From facts to states, and from states to conditions.
extension ObjectivesKeeper {
  /// What is attained of one tier's objectives; tells where that is too little, or no longer is.
  func judge(_ tier: TierObjective, _ facts: ClusterFacts?, _ jobs: [JobSummary]) -> TierStatus {
    let tables = Set(tier.tables)
    let roads = facts.map { RecoveryRoads.roads($0, tables: tables.isEmpty ? nil : tables) } ?? []
    var status = TierStatus(
      name: tier.id, cluster: tier.cluster, tables: tier.tables, rpoSeconds: tier.rpo.secondsValue,
      rtoSeconds: tier.rto.secondsValue, roads: roads)
    status.lossSeconds = roads.first?.lossSeconds
    status.worstLossSeconds = [history.worstLoss(of: tier.id), status.lossSeconds].compactMap { $0 }.max()
    let measured = recoveries(of: tier.cluster)
    let time = facts.flatMap { RecoveryTime.estimate(measured, bytes: $0.bytes, walBytes: $0.walBytes) }
    status.recoverySeconds = time?.seconds
    if let time { status.recoveryBasis = time.basis }
    var watches = memory.withLock { $0.watches[tier.id] } ?? told(tier.id)
    let uptime = clock.uptime
    // Nothing to restore from is the largest loss there is; not to know is none.
    let loss = facts == nil ? nil : roads.isEmpty ? .infinity : status.lossSeconds
    let before = watches
    watches.rpo.note(
      loss, objective: status.rpoSeconds, at: uptime, reliefSeconds: relief(tier, roads.first, jobs))
    watches.rto.note(status.recoverySeconds, objective: status.rtoSeconds, at: uptime)
    status.breachSeconds = watches.rpo.breachSeconds
    // A receiver that connects has not been heard yet: nothing new is held against it.
    if uptime - begun < Self.grace, watches.rpo.state != before.rpo.state { watches.rpo = before.rpo }
    status.rpoState = loss == nil ? .unknown : watches.rpo.state
    status.rtoState = status.recoverySeconds == nil ? .unknown : watches.rto.state
    memory.withLock { $0.watches[tier.id] = watches }
    tell(ObjectiveCondition.rpo(tier.id), tier, watches.rpo.state) { ObjectiveCondition.rpoReport(status, $0) }
    tell(ObjectiveCondition.rto(tier.id), tier, watches.rto.state) { ObjectiveCondition.rtoReport(status, $0) }
    return status
  }

  /// What an earlier process had raised is still raised: it is not told anew.
  private func told(_ tier: TierID) -> Watches {
    func watch(_ id: String) -> ObjectiveWatch {
      switch state.conditions().first(where: { $0.id == id })?.severity {
      case .critical: ObjectiveWatch(.missed)
      case .warning: ObjectiveWatch(.endangered)
      case nil: ObjectiveWatch()
      }
    }
    return Watches(rpo: watch(ObjectiveCondition.rpo(tier)), rto: watch(ObjectiveCondition.rto(tier)))
  }

  /// In how many seconds the next backup is due, where backups alone lead back.
  private func relief(_ tier: TierObjective, _ road: RecoveryRoad?, _ jobs: [JobSummary]) -> Double? {
    guard let road, road.means != .wal else { return nil }
    let kind = road.means.rawValue
    let next = jobs.filter { $0.cluster == tier.cluster && $0.kind == kind }.compactMap { job in
      job.running != nil ? clock.now : job.nextRun
    }.min()
    return next.map { max(0, ($0 - clock.now).secondsValue) }
  }

  private func recoveries(of cluster: ClusterID) -> [MeasuredRecovery] {
    do {
      return try state.recoveries(of: cluster, now: clock.now)
    } catch {
      logger.error(
        "what drills measured cannot be read", metadata: ["cluster": "\(cluster)", "error": "\(ErrorReport(error))"])
      return []
    }
  }

  private func tell(
    _ id: String, _ tier: TierObjective, _ level: ObjectiveState, _ report: (Condition.Severity) -> ErrorReport
  ) {
    let severity: Condition.Severity? =
      switch level {
      case .missed: .critical
      case .endangered: .warning
      case .met, .unknown: nil
      }
    let known = state.conditions().first { $0.id == id }
    // The text holds the facts of the moment it was raised: once is enough.
    guard known?.severity != severity else { return }
    logger.attempt {
      guard let severity else {
        _ = try state.resolve(id)
        logger.notice("objective is met again", metadata: ["condition": "\(id)"])
        return
      }
      let condition = Condition(
        id: id, severity: severity, since: clock.now, report: report(severity), cluster: tier.cluster, tier: tier.id)
      _ = try state.raise(condition)
      logger.warning(
        "objective not met",
        metadata: ["condition": "\(id)", "severity": "\(severity.rawValue)", "error": "\(condition.report)"])
    }
  }
}
