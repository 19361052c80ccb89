internal import BackupModel
internal import Logging
internal import Scheduling

/// What becomes due, and what does not become a run.
extension JobRunner {
  /// Computes when a job is due next from what its state file remembers, so that a restart forgets nothing.
  /// - Parameter before: The job as it was configured until now.
  func replan(_ job: Job, before: Job?) {
    guard let timetable = job.timetable else { return plan.remove(job.id) }
    if let before {
      // Times of a schedule that was not in force yet were not missed.
      if before.timetable != timetable { plan.set(job.id, timetable, lastDue: now, now: now) }
      return
    }
    let lastDue = state.state(of: job.id).lastDue
    if plan.set(job.id, timetable, lastDue: lastDue, now: now) {
      logger.attempt(to: "record when a job was due") { try state.resetDue(now, of: job.id) }
    }
  }

  func scheduleLoop() async {
    while !Task.isCancelled {
      heartbeat.beat()
      pruneHistory()
      startDue()
      startWished()
      startPrunes()
      let pause = plan.wake.map { min($0 - now, options.tick) } ?? options.tick
      // Ends early only by cancellation, which the loop looks for itself.
      try? await options.clock.sleep(for: max(pause, .milliseconds(1)))
    }
    isStopping = true
    workInput.finish()
  }

  private func startDue() {
    let outcome = plan.due(at: now, uptime: options.clock.uptime)
    if let correction = outcome.correction { correct(correction) }
    var begun: [LiveRun] = []
    for due in outcome.due {
      guard let job = jobs.job(due.job) else { continue }
      if let passed = due.passed { record(passed, of: job, runs: due.runs) }
      guard due.runs else { continue }
      if let reason = obstacle(to: job, begun) {
        recordSkipped(job, due: due.due, reason: reason)
        continue
      }
      let trigger: RunTrigger = due.isLate || due.passed != nil ? .missed : .schedule
      begun.append(make(job, trigger: trigger, due: due.due))
    }
    // Decided all at once: the disk is slower than the clock.
    enqueue(begun)
  }

  /// Why a due job does not get a run; nil where it does.
  private func obstacle(to job: Job, _ begun: [LiveRun]) -> String? {
    if (waiting + begun).contains(where: { $0.job.id == job.id }) {
      return "An earlier run of this job still waits for its turn."
    }
    let isRunning = (Array(running.values) + stuck.values).contains { $0.job.id == job.id }
    guard isRunning, job.overlap == .skip else { return nil }
    return "An earlier run of this job still goes on, and \"overlap\" is \"skip\"."
  }

  /// The wall clock went back by hours: what was remembered of its future was never true.
  private func correct(_ step: Duration) {
    logger.warning(
      "the clock was set back, the schedule begins anew", metadata: ["step": "\(DurationText.format(step))"])
    for job in jobs.jobs where job.timetable != nil {
      logger.attempt(to: "record when a job was due") { try state.resetDue(now, of: job.id) }
    }
  }

  /// Backups that a hole in the WAL calls for.
  private func startWished() {
    let wished = wishes.withLock { wishes in
      defer { wishes = [] }
      return wishes
    }
    for cluster in wished.sorted() {
      guard let job = jobs.jobs.first(where: { $0.cluster == cluster && $0.kind == "physical" }),
        !waiting.contains(where: { $0.job.cluster == cluster })
      else { continue }
      enqueue([make(job, trigger: .retry, due: now)])
    }
  }

  // MARK: Times without a run

  private func record(_ passed: SchedulePlan.Passed, of job: Job, runs: Bool) {
    let count = passed.count > SchedulePlan.countLimit ? "more than \(SchedulePlan.countLimit)" : "\(passed.count)"
    let times = passed.count == 1 ? "The time \(passed.first)" : "\(count) times, \(passed.first) to \(passed.last),"
    let cause = "\(times) passed while the daemon did not run, the host slept or its clock was set forward"
    let reason =
      runs ? "\(cause); one run takes place for all of them." : "\(cause), and \"missed\" is \"skip\"."
    recordSkipped(job, due: passed.first, reason: reason, times: passed.count, last: passed.last)
  }

  private func recordSkipped(_ job: Job, due: Timestamp, reason: String, times: Int = 1, last: Timestamp? = nil) {
    var record = makeRecord(job, trigger: .schedule, due: due)
    record.finished = record.started
    record.outcome = .skipped
    record.times = times > 1 ? times : nil
    record.error = ErrorReport(summary: "run of job \"\(job.id)\" skipped", detail: reason)
    logger.attempt(to: "record the run") {
      try state.end(record)
      if let last { try state.markDue(last, of: job.id) }
    }
    report(record)
  }

  // MARK: Prune

  /// At the start and each day.
  private func pruneHistory() {
    let uptime = options.clock.uptime
    guard uptime >= nextHistoryPrune else { return }
    nextHistoryPrune = uptime + .seconds(86400)
    logger.attempt(to: "forget runs that ended long ago") {
      let months = try state.pruneHistory(olderThan: jobs.history, now: now)
      if months > 0 { logger.info("runs that ended long ago are forgotten", metadata: ["months": "\(months)"]) }
    }
  }

  /// Not while a backup of the cluster goes on or waits: a prune comes after it.
  private func startPrunes() {
    for (cluster, retention) in jobs.retention {
      if nextPrune[cluster] == nil { nextPrune[cluster] = firstPrune(of: cluster) }
      guard let due = nextPrune[cluster], due <= now, !pruning.contains(cluster), !isStopping,
        !(Array(running.values) + waiting + stuck.values).contains(where: {
          $0.job.cluster == cluster && $0.job.body.isExclusive
        })
      else { continue }
      pruning.insert(cluster)
      nextPrune[cluster] = now + Pruning.interval
      workInput.yield(
        .prune(Pruning(cluster: cluster, retention: retention, repository: repository, state: state, logger: logger)))
    }
  }

  private func firstPrune(of cluster: ClusterID) -> Timestamp {
    var last: Timestamp?
    logger.attempt(to: "read when cluster \"\(cluster)\" was pruned") {
      last = try state.pruneState(of: cluster, now: now)?.finished
    }
    // One that was never pruned has nothing to prune before its first backup.
    return min(last ?? now, now) + Pruning.interval
  }

  func execute(_ pruning: Pruning) async {
    let succeeded = await pruning.perform()
    self.pruning.remove(pruning.cluster)
    if !succeeded { nextPrune[pruning.cluster] = now + Pruning.retryInterval }
  }
}
