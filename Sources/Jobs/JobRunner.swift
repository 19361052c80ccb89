public import BackupModel
internal import BlockingWork
public import JobState
public import Logging
public import Repository
internal import Scheduling
import Synchronization

/// Decides what runs when, runs it, and records how it ended.
///
/// Physical runs of one cluster take turns; as many clusters as the width allows run at once. WAL jobs run beside them
/// all the time. One task tree: nothing outlives ``run(_:)``.
public actor JobRunner {
  public struct Options: Sendable {
    /// `daemon.state-directory`.
    public var stateDirectory: String
    public init(stateDirectory: String) { self.stateDirectory = stateDirectory }
  }

  enum Work: Sendable {
    case run(LiveRun)
    case wal(WALKeeper)
    case prune(Pruning)
  }

  let options: Options
  let repository: Repository
  let state: JobStateStore
  let logger: Logger
  let watch = RunWatch()
  private(set) var jobs = JobSet()
  /// Waiting for their turn, in the order they came.
  private var waiting: [LiveRun] = []
  private var running: [RunID: LiveRun] = [:]
  private var keepers: [ClusterID: WALKeeper] = [:]
  /// When each job is due next; nil where it never is.
  private var nextDue: [JobID: Timestamp] = [:]
  private var isStopping = false
  private let work: AsyncStream<Work>
  private let workInput: AsyncStream<Work>.Continuation

  public init(_ options: Options, repository: Repository, state: JobStateStore, logger: Logger) {
    self.options = options
    self.repository = repository
    self.state = state
    self.logger = logger
    (work, workInput) = AsyncStream.makeStream(of: Work.self)
  }

  /// Runs jobs until cancelled, then waits for the cancelled runs to be cleaned up and recorded as interrupted.
  public func run(_ jobs: JobSet) async {
    apply(jobs)
    await withDiscardingTaskGroup { group in
      group.addTask { await self.scheduleLoop() }
      for await work in work {
        group.addTask {
          switch work {
          case .run(let run): await self.execute(run)
          case .wal(let keeper): await keeper.run()
          case .prune(let pruning): await self.execute(pruning)
          }
        }
      }
      isStopping = true
      group.cancelAll()
    }
    interruptLeft()
  }

  /// Takes over another set of jobs. Runs that have begun finish under what they began with.
  public func apply(_ jobs: JobSet) {
    let old = self.jobs
    self.jobs = jobs
    let now = Timestamp.now()
    for job in jobs.physical {
      guard let before = old.physicalJob(job.id) else {
        plan(job, now: now)
        continue
      }
      // Times of a schedule that was not in force yet were not missed.
      if before.schedule != job.schedule || before.zone != job.zone {
        nextDue[job.id] = job.schedule?.next(after: now, in: job.zone)
      }
    }
    for id in old.physical.map(\.id) where jobs.physicalJob(id) == nil { forget(id) }
    var ending: [ClusterID: WALKeeper] = [:]
    for (cluster, keeper) in keepers where jobs.walJob(of: cluster) != keeper.job {
      keeper.cancellation.cancel()
      keepers[cluster] = nil
      ending[cluster] = keeper
    }
    for job in jobs.wal where keepers[job.cluster] == nil { keep(job, after: ending[job.cluster]) }
    // The backup that a hole calls for may not have come: the daemon was stopped, or there was no job to take it.
    let raised = Set(state.conditions().map(\.id))
    for job in jobs.wal where raised.contains(WALKeeper.gapCondition(of: job.cluster)) { askForBackup(of: job.cluster) }
  }

  /// A job that is no longer configured: what was wrong with it no longer is.
  private func forget(_ id: JobID) {
    nextDue[id] = nil
    note(while: "record a condition") { _ = try state.resolve("job:\(id)") }
  }

  /// - Parameter predecessor: Receives into the same directory until it has ended.
  private func keep(_ job: WALJob, after predecessor: WALKeeper?) {
    let keeper = WALKeeper(
      job, repository: repository, landingDirectory: options.stateDirectory + "/wal/\(job.cluster)", state: state,
      logger: logger, predecessor: predecessor
    ) { [weak self] cluster in
      self?.askForBackup(of: cluster)
    }
    keepers[job.cluster] = keeper
    workInput.yield(.wal(keeper))
  }

  // MARK: Schedule

  /// Computes when a job is due next from what its state file remembers, so that a restart forgets nothing.
  private func plan(_ job: PhysicalJob, now: Timestamp) {
    guard let schedule = job.schedule else {
      nextDue[job.id] = nil
      return
    }
    let last = state.state(of: job.id).lastDue
    guard let last, let next = schedule.next(after: last, in: job.zone) else {
      nextDue[job.id] = schedule.next(after: now, in: job.zone)
      return
    }
    // A minute's grace: a daemon that restarts at the very time is not late.
    if next < now - .seconds(60), job.missed == .skip {
      let following = schedule.next(after: now, in: job.zone)
      recordSkipped(job, due: next, reason: "The daemon was not running at that time, and \"missed\" is \"skip\".")
      nextDue[job.id] = following
    } else {
      nextDue[job.id] = next
    }
  }

  /// Sleeps to the next due time, a second at most: the clock may be set meanwhile, the machine suspended, or a job
  /// added.
  private func scheduleLoop() async {
    while !Task.isCancelled {
      startDue(now: .now())
      startWished()
      startPrunes(now: .now())
      let now = Timestamp.now()
      let pause = nextDue.values.min().map { min($0 - now, .seconds(1)) } ?? .seconds(1)
      // Ends early only by cancellation, which the loop looks for itself.
      try? await Task.sleep(for: max(pause, .milliseconds(10)))
    }
    isStopping = true
    workInput.finish()
  }

  private func startDue(now: Timestamp) {
    for job in jobs.physical {
      guard let due = nextDue[job.id], due <= now, let schedule = job.schedule else { continue }
      let next = schedule.next(after: now, in: job.zone)
      nextDue[job.id] = next
      if waiting.contains(where: { $0.job.id == job.id }) {
        recordSkipped(job, due: due, reason: "An earlier run of this job still waits for its turn.")
      } else {
        _ = enqueue(job, trigger: due < now - .seconds(60) ? .missed : .schedule, due: due)
      }
    }
  }

  // MARK: Runs

  /// Asks for a run by hand: it waits its turn and is never skipped.
  /// - Throws: ``JobsError``.
  public func start(_ id: JobID) throws -> RunRecord {
    guard !isStopping else { throw JobsError.stopping }
    guard let job = jobs.physicalJob(id) else {
      if jobs.wal.contains(where: { $0.id == id }) { throw JobsError.longRunning(id) }
      throw JobsError.noSuchJob(id, known: jobs.names)
    }
    return enqueue(job, trigger: .manual, due: .now()).record
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

  /// A hole in the WAL: only a new base backup makes what follows usable.
  nonisolated private func askForBackup(of cluster: ClusterID) { wishes.withLock { _ = $0.insert(cluster) } }
  private nonisolated let wishes = Mutex<Set<ClusterID>>([])

  private func startWished() {
    let wished = wishes.withLock { wishes in
      defer { wishes = [] }
      return wishes
    }
    for cluster in wished.sorted() {
      guard let job = jobs.physical.first(where: { $0.cluster == cluster }),
        !waiting.contains(where: { $0.job.cluster == cluster })
      else { continue }
      _ = enqueue(job, trigger: .retry, due: .now())
    }
  }

  // MARK: Prune

  /// When each cluster is pruned next; a day after it last was.
  private var nextPrune: [ClusterID: Timestamp] = [:]
  private var pruning: Set<ClusterID> = []

  /// Not while a backup of the cluster goes on or waits: a prune comes after it.
  private func startPrunes(now: Timestamp) {
    for (cluster, rules) in jobs.retention {
      if nextPrune[cluster] == nil { nextPrune[cluster] = firstPrune(of: cluster, now) }
      guard let due = nextPrune[cluster], due <= now, !pruning.contains(cluster), !isStopping,
        !(Array(running.values) + waiting).contains(where: { $0.job.cluster == cluster }),
        let job = jobs.physical.first(where: { $0.cluster == cluster })
      else { continue }
      pruning.insert(cluster)
      nextPrune[cluster] = now + Pruning.interval
      workInput.yield(
        .prune(
          Pruning(
            cluster: cluster, rules: rules, connection: job.walConnection, repository: repository, state: state,
            logger: logger)))
    }
  }

  private func firstPrune(of cluster: ClusterID, _ now: Timestamp) -> Timestamp {
    var last: PruneState?
    note(while: "read when cluster \"\(cluster)\" was pruned") { last = try state.pruneState(of: cluster, now: now) }
    // One that was never pruned has nothing to prune before its first backup.
    return min((last?.finished ?? now) + Pruning.interval, now + Pruning.interval)
  }

  private func execute(_ pruning: Pruning) async {
    let succeeded = await pruning.perform()
    self.pruning.remove(pruning.cluster)
    if !succeeded { nextPrune[pruning.cluster] = .now() + Pruning.retryInterval }
  }

  private func enqueue(_ job: PhysicalJob, trigger: RunTrigger, due: Timestamp) -> LiveRun {
    let now = Timestamp.now()
    var record = RunRecord(
      run: RunID(started: now), job: job.id, kind: "physical", cluster: job.cluster, trigger: trigger, due: due,
      started: now)
    record.progress = RunProgress(phase: "waiting")
    let run = LiveRun(record, job: job, store: state, watch: watch)
    note(while: "record the run") { try state.begin(record) }
    watch.tell(record)
    waiting.append(run)
    dispatch()
    return run
  }

  /// Starts what may start now.
  private func dispatch() {
    guard !isStopping else { return }
    var index = 0
    while index < waiting.count {
      let run = waiting[index]
      let clusterBusy = running.values.contains { $0.job.cluster == run.job.cluster }
      if clusterBusy || running.count >= max(1, jobs.backupWidth) {
        index += 1
        continue
      }
      waiting.remove(at: index)
      if adopt(run) { continue }
      running[run.id] = run
      workInput.yield(.run(run))
    }
  }

  /// A scheduled run whose predecessor began after it was due takes over that backup: it is what was asked for.
  private func adopt(_ run: LiveRun) -> Bool {
    guard run.trigger != .manual, let last = lastBackup[run.job.cluster], last.started >= run.due else { return false }
    end(run) {
      $0.outcome = .succeeded
      $0.backup = last.backup
      $0.warnings = ["took over backup \(last.backup), which began after this run was due"]
    }
    return true
  }
  private var lastBackup: [ClusterID: (started: Timestamp, backup: BackupID)] = [:]

  private func execute(_ run: LiveRun) async {
    let began = Timestamp.now()
    run.change { $0.started = began }
    logger.info("run begins", metadata: metadata(run))
    let outcome = await PhysicalRun(self, run).perform(archiver: keepers[run.job.cluster])
    if case .success(let backup) = outcome {
      lastBackup[run.job.cluster] = (began, backup)
      nextPrune[run.job.cluster] = began
    }
    running[run.id] = nil
    end(run) { _ in }
    dispatch()
  }

  /// Ends a run: its record becomes history, its job's condition is raised or resolved.
  private func end(_ run: LiveRun, _ change: (inout RunRecord) -> Void) {
    var record = run.record
    change(&record)
    record.finished = .now()
    record.progress = nil
    if record.outcome == nil { record.outcome = .interrupted }
    note(while: "record the run's end") { try state.end(record) }
    watch.tell(record)
    report(record)
  }

  private func report(_ record: RunRecord) {
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
      logger.error("run failed", metadata: metadata)
      note(while: "record a condition") {
        _ = try state.raise(Condition(id: id, severity: .critical, since: .now(), report: report))
      }
    case .succeeded:
      for warning in record.warnings { logger.warning("\(warning)", metadata: metadata) }
      logger.info("run ends", metadata: metadata)
      note(while: "record a condition") {
        _ = try state.resolve(id)
        try settleGap(record)
      }
    default:
      logger.notice("run ends", metadata: metadata)
    }
  }

  /// A backup that began behind a hole in the WAL makes what follows restorable again.
  private func settleGap(_ record: RunRecord) throws {
    guard let cluster = record.cluster else { return }
    let id = WALKeeper.gapCondition(of: cluster)
    guard let gap = state.conditions().first(where: { $0.id == id }), gap.since <= record.started else { return }
    _ = try state.resolve(id)
  }

  private func recordSkipped(_ job: PhysicalJob, due: Timestamp, reason: String) {
    var record = RunRecord(
      run: RunID(started: .now()), job: job.id, kind: "physical", cluster: job.cluster, trigger: .schedule, due: due,
      started: .now())
    record.finished = record.started
    record.outcome = .skipped
    record.error = ErrorReport(summary: "run of job \"\(job.id)\" skipped", detail: reason)
    note(while: "record the run") { try state.end(record) }
    report(record)
  }

  /// Runs that wait, and those handed to the task group when it took no more.
  private func interruptLeft() {
    for run in waiting + running.values { end(run) { $0.outcome = .interrupted } }
    waiting = []
    running = [:]
  }

  /// State that cannot be written is reported; the work itself goes on.
  func note(while action: String, _ body: () throws -> Void) {
    do {
      try body()
    } catch {
      logger.error("could not \(action)", metadata: ["error": "\(ErrorReport(error))"])
    }
  }

  private func metadata(_ run: LiveRun) -> Logger.Metadata {
    ["job": "\(run.job.id)", "run": "\(run.id)", "cluster": "\(run.job.cluster)", "trigger": "\(run.trigger.rawValue)"]
  }

  // MARK: What is asked

  /// Changes of runs from now on.
  public nonisolated func follow() -> AsyncStream<RunRecord> { watch.follow() }

  public func walStatus() -> [WALStatus] {
    keepers.values.map { $0.status() }.sorted { $0.cluster < $1.cluster }
  }

  public func summaries() -> [JobSummary] {
    let physical = jobs.physical.map { job in
      summary(
        job.id, kind: "physical", cluster: job.cluster, schedule: job.schedule?.text, zone: job.zone.name,
        next: nextDue[job.id],
        running: (Array(running.values) + waiting).first { $0.job.id == job.id }?.id)
    }
    let wal = jobs.wal.map {
      summary($0.id, kind: "wal", cluster: $0.cluster, schedule: nil, zone: nil, next: nil, running: nil)
    }
    return (physical + wal).sorted { $0.name < $1.name }
  }

  private func summary(
    _ id: JobID, kind: String, cluster: ClusterID, schedule: String?, zone: String?, next: Timestamp?,
    running: RunID?
  ) -> JobSummary {
    let state = state.state(of: id)
    return JobSummary(
      name: id, kind: kind, cluster: cluster, schedule: schedule, timezone: schedule == nil ? nil : zone,
      nextRun: next, lastRun: state.lastStarted, lastOutcome: state.lastOutcome, lastSuccess: state.lastSuccess,
      consecutiveFailures: state.consecutiveFailures, running: running)
  }
}
