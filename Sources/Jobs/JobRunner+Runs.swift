public import BackupModel
internal import BlockingWork
internal import JobState
internal import Logging
internal import Repository
internal import WALArchiving

/// Runs: how they begin, wait, take over what others made, and end.
extension JobRunner {
  /// Asks for a run by hand: it waits its turn and is never skipped.
  /// - Throws: ``JobsError``.
  public func start(_ id: JobID) throws -> RunRecord {
    guard !isStopping else { throw JobsError.stopping }
    guard let job = jobs.job(id) else {
      if jobs.wal.contains(where: { $0.id == id }) { throw JobsError.longRunning(id) }
      throw JobsError.noSuchJob(id, known: jobs.names)
    }
    let run = make(job, trigger: .manual, due: now)
    enqueue([run])
    return run.record
  }

  /// - Throws: ``JobsError/noSuchRun(_:)``.
  public func cancel(_ id: RunID) throws {
    if let index = waiting.firstIndex(where: { $0.id == id }) {
      let run = waiting.remove(at: index)
      end(run) { $0.outcome = .cancelled }
    } else if let run = running[id] {
      run.cancel(.operatorAsked)
    } else {
      throw JobsError.noSuchRun(id)
    }
  }

  func makeRecord(_ job: Job, trigger: RunTrigger, due: Timestamp) -> RunRecord {
    RunRecord(
      run: RunID(started: now), job: job.id, kind: job.kind, cluster: job.cluster, trigger: trigger, due: due,
      started: now)
  }

  func make(_ job: Job, trigger: RunTrigger, due: Timestamp) -> LiveRun {
    var record = makeRecord(job, trigger: trigger, due: due)
    record.progress = RunProgress(phase: "waiting")
    return LiveRun(record, job: job, mayAdopt: trigger != .manual, store: state, watch: watch)
  }

  func enqueue(_ runs: [LiveRun]) {
    for run in runs {
      logger.attempt(to: "record the run") { try state.begin(run.record) }
      watch.tell(run.record)
    }
    waiting += runs
    dispatch()
  }

  /// Starts what may start now: lowest rank first, then those that came first.
  func dispatch() {
    guard !isStopping, !waiting.isEmpty else { return }
    var taken = Set(
      (Array(running.values) + stuck.values).filter { $0.job.body.isExclusive }.map(\.job.cluster))
    var counts: [LaneGroup: Int] = [:]
    for run in running.values { counts[run.job.group, default: 0] += 1 }
    let order = waiting.indices.sorted { (waiting[$0].job.rank, $0) < (waiting[$1].job.rank, $1) }
    var started: Set<RunID> = []
    for index in order {
      let run = waiting[index]
      let isTaken = run.job.body.isExclusive && taken.contains(run.job.cluster)
      if isTaken || counts[run.job.group, default: 0] >= jobs.width(of: run.job.group) { continue }
      if run.job.body.isExclusive { taken.insert(run.job.cluster) }
      counts[run.job.group, default: 0] += 1
      started.insert(run.id)
      running[run.id] = run
      workInput.yield(adoptable(run).map { .adopt(run, $0) } ?? .run(run))
    }
    waiting.removeAll { started.contains($0.id) }
  }

  /// The backup that a run is too late for: its predecessor began after it was due, so it is what was asked for.
  private func adoptable(_ run: LiveRun) -> BackupID? {
    guard run.mayAdopt, run.job.body.isExclusive, let last = lastBackup[run.job.cluster],
      last.started >= run.due, run.job.body.accepts(last.job.body)
    else { return nil }
    return last.backup
  }

  /// The backup stays for as long as this run's job keeps it, too.
  func execute(_ run: LiveRun, adopting backup: BackupID) async {
    let repository = self.repository
    let job = run.job.id
    do {
      try await Lane(label: "adopt").run { try BackupCatalog(repository).claim(backup, for: job, cancellation: $0) }
    } catch {
      logger.warning(
        "a backup could not be taken over, another is made",
        metadata: ["job": "\(job)", "backup": "\(backup)", "error": "\(ErrorReport(error))"])
      return await execute(run)
    }
    running[run.id] = nil
    end(run) {
      $0.outcome = .succeeded
      $0.backup = backup
      $0.warnings = ["took over backup \(backup), which began after this run was due"]
    }
    dispatch()
  }

  func execute(_ run: LiveRun) async {
    let began = now
    run.change { $0.started = began }
    logger.info("run begins", metadata: metadata(run))
    let reads = ReadLog()
    let repository = self.repository.noting(in: reads)
    let before = RequestCounts(repository)
    let attempts = RunAttempts(
      context: RunContext(
        run: run, repository: repository, stateDirectory: options.stateDirectory,
        archiver: streamingArchiver(of: run.job.cluster), state: state, logger: logger),
      clock: options.clock, patience: options.patience, stuck: { await self.giveUp(run) })
    let backup = await attempts.perform()
    if let backup {
      if run.job.body.isExclusive { lastBackup[run.job.cluster] = (began, backup, run.job) }
      nextPrune[run.job.cluster] = jobs.retention[run.job.cluster] == nil ? nil : began
    }
    running[run.id] = nil
    if stuck.removeValue(forKey: run.id) != nil {
      logger.notice("a run that did not end has ended after all", metadata: metadata(run))
      logger.attempt { try state.resolve("stuck:\(run.job.id)") }
    }
    end(run) {
      $0.requests = before.difference(to: repository)
      $0.warnings += reads.warnings
    }
    dispatch()
  }

  /// A run that was cancelled at its deadline and does not end: others of its group go on without it.
  private func giveUp(_ run: LiveRun) {
    guard running.removeValue(forKey: run.id) != nil else { return }
    stuck[run.id] = run
    let report = ErrorReport(JobsError.stuck(run.job.id, run.job.deadline))
    logger.attempt {
      try state.raise(
        Condition(
          id: "stuck:\(run.job.id)", severity: .critical, since: now, report: report, cluster: run.job.cluster,
          job: run.job.id))
    }
    end(run) {
      $0.outcome = .failed
      $0.error = report
    }
    dispatch()
  }

  /// Ends a run: its record becomes history, its job's condition is raised or resolved.
  func end(_ run: LiveRun, _ change: (inout RunRecord) -> Void) {
    guard var record = run.end() else { return }
    change(&record)
    record.finished = now
    record.progress = nil
    if record.outcome == nil { record.outcome = .interrupted }
    logger.attempt(to: "record the run's end") { try state.end(record) }
    if record.madeBackup { storeNews.tell(record.outcome == .incomplete ? .incompleteBackup : .backup) }
    watch.tell(record)
    report(record)
  }

  func report(_ record: RunRecord) {
    var metadata: Logger.Metadata = [
      "job": "\(record.job)", "run": "\(record.run)", "outcome": "\(record.outcome?.rawValue ?? "")",
    ]
    if let cluster = record.cluster { metadata["cluster"] = "\(cluster)" }
    if let backup = record.backup { metadata["backup"] = "\(backup)" }
    if let bytes = record.storedBytes { metadata["bytes"] = "\(bytes.value)" }
    if let finished = record.finished { metadata["durationSeconds"] = "\((finished - record.started).secondsValue)" }
    let id = "job:\(record.job)"
    switch record.outcome {
    case .failed, .incomplete:
      let report = record.error ?? ErrorReport(summary: "run \(record.run) failed")
      metadata["error"] = "\(report)"
      metadata[JournalMessage.key] = JournalMessage.runFailed.metadata
      logger.error("run failed", metadata: metadata)
      logger.attempt {
        try state.raise(
          Condition(
            id: id, severity: .critical, since: now, report: report, cluster: record.cluster, job: record.job))
      }
    case .succeeded:
      for warning in record.warnings { logger.warning("\(warning)", metadata: metadata) }
      logger.info("run ends", metadata: metadata)
      logger.attempt {
        try state.resolve(id)
        try settleGap(record)
      }
    case .skipped:
      if let reason = record.error?.detail { metadata["reason"] = "\(reason)" }
      metadata[JournalMessage.key] = JournalMessage.runSkipped.metadata
      logger.notice("run skipped", metadata: metadata)
    default:
      logger.notice("run ends", metadata: metadata)
    }
  }

  /// A backup that began behind a hole in the WAL makes what follows restorable again.
  private func settleGap(_ record: RunRecord) throws {
    // A copy names the backup it copied, which may be older than the hole, and a drill the one it restored; a dump is
    // restored without WAL.
    guard let cluster = record.cluster, record.backup != nil, record.kind == "physical" else { return }
    let id = WALKeeper.gapCondition(of: cluster)
    guard let gap = state.conditions().first(where: { $0.id == id }), gap.since <= record.started else { return }
    _ = try state.resolve(id)
  }

  private func metadata(_ run: LiveRun) -> Logger.Metadata {
    ["job": "\(run.job.id)", "run": "\(run.id)", "cluster": "\(run.job.cluster)", "trigger": "\(run.trigger.rawValue)"]
  }

  /// Proves a backup's WAL. Where WAL is only pushed nil: the backup receives its own, for as long as it takes.
  private func streamingArchiver(of cluster: ClusterID) -> WALArchiver? {
    keepers[cluster].flatMap { $0.job.streams ? $0.archiver : nil }
  }

  // MARK: What is asked

  /// Takes a file that a cluster's archiver hands over, and returns when it is durable.
  /// - Throws: ``JobsError/noWALJob(_:known:)``, what the archiver throws.
  public nonisolated func pushWAL(_ path: String, of cluster: ClusterID) async throws {
    let archiver = try await archiver(of: cluster)
    try await Lane(label: "wal.\(cluster).push").run { try archiver.push(path, $0) }
  }

  /// Missing WAL is known, and no longer told of.
  /// - Parameter cluster: Nil for all.
  /// - Returns: The clusters of which there was something to tell.
  public func acknowledgeGaps(of cluster: ClusterID?) throws -> [ClusterID] {
    var clusters: [ClusterID] = []
    for name in cluster.map({ [$0] }) ?? keepers.keys.sorted() {
      let id = WALKeeper.gapCondition(of: name)
      guard let gap = try state.resolve(id) else { continue }
      logger.notice("missing WAL acknowledged", metadata: ["cluster": "\(name)", "error": "\(gap.report)"])
      clusters.append(name)
    }
    return clusters
  }

  private func archiver(of cluster: ClusterID) throws -> WALArchiver {
    guard let keeper = keepers[cluster] else {
      throw JobsError.noWALJob(cluster, known: keepers.keys.sorted())
    }
    return keeper.archiver
  }

  /// Changes of runs from now on.
  public nonisolated func follow() -> AsyncStream<RunRecord> { watch.follow() }

  /// Clusters whose WAL receivers do not turn.
  public func stalledReceivers(for limit: Duration) -> [ClusterID] {
    keepers.filter { $0.value.archiver.isStalled(for: limit) }.keys.sorted()
  }

  /// How far into the present the WAL of each cluster reaches that is streamed and heard of.
  func walReach() -> [ClusterID: WALReach] { keepers.compactMapValues { $0.archiver.reach() } }

  /// Stores that do not take or give what they are asked, as far as WAL and filling know.
  public func failingStores() -> Set<StoreID> {
    let filling = storeKeepers.map(\.now).filter { $0.error != nil }.map(\.name)
    return keepers.values.reduce(into: Set(filling)) { $0.formUnion($1.archiver.failingStores) }
  }

  /// What was asked of stores beyond this host since they were opened.
  public func requestCounts() -> [StoreRequests] {
    repository.allStores.compactMap(\.requests).sorted { $0.store < $1.store }
  }

  public func walStatus() -> [WALStatus] {
    keepers.values.map { $0.status() }.sorted { $0.cluster < $1.cluster }
  }

  public func summaries() -> [JobSummary] {
    let live = Dictionary(
      (Array(running.values) + waiting + stuck.values).map { ($0.job.id, $0.id) },
      uniquingKeysWith: { first, _ in first })
    let scheduled = jobs.jobs.map { summary($0, running: live[$0.id]) }
    let wal = jobs.wal.map { job in
      JobSummary(
        name: job.id, kind: "wal", cluster: job.cluster, schedule: nil, timezone: nil, nextRun: nil, lastRun: nil,
        lastOutcome: nil, lastSuccess: nil, consecutiveFailures: 0, running: nil)
    }
    return (scheduled + wal).sorted { $0.name < $1.name }
  }

  private func summary(_ job: Job, running: RunID?) -> JobSummary {
    let state = state.state(of: job.id)
    return JobSummary(
      name: job.id, kind: job.kind, cluster: job.cluster, schedule: job.timetable?.schedule.text,
      timezone: job.timetable?.zone.name, nextRun: plan.start(of: job.id), lastRun: state.lastStarted,
      lastOutcome: state.lastOutcome, lastSuccess: state.lastSuccess, consecutiveFailures: state.consecutiveFailures,
      running: running)
  }
}
