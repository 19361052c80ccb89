internal import BackupModel
public import BlockingWork
public import JobState
public import Logging
public import Repository
internal import Scheduling
import Synchronization

/// Decides what runs when, runs it, and records how it ended.
///
/// Backups of one cluster take turns; of each group as many runs go on as its width allows. WAL jobs run beside them all
/// the time. One task tree: nothing outlives ``run(_:)``. It lives on a lane, since it writes files.
public actor JobRunner {
  public struct Options: Sendable {
    /// `daemon.state-directory`.
    public var stateDirectory: String
    public var clock: any JobClock
    /// The schedule is looked at so often at least: clocks are set, hosts sleep, jobs are added.
    public var tick: Duration
    /// How long a cancelled run may take to end before it counts as stuck.
    public var patience: Duration

    public init(
      stateDirectory: String, clock: any JobClock = HostJobClock(), tick: Duration = .seconds(1),
      patience: Duration = .seconds(300)
    ) {
      self.stateDirectory = stateDirectory
      self.clock = clock
      self.tick = tick
      self.patience = patience
    }
  }

  enum Work: Sendable {
    case run(LiveRun)
    case adopt(LiveRun, BackupID)
    case wal(WALKeeper)
    case prune(Pruning)
    case fill(StoreKeeper)
    case beat(HeartbeatKeeper)
  }

  private let lane = Lane(label: "scheduler")
  public nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

  let options: Options
  var repository: Repository
  let state: JobStateStore
  let logger: Logger
  let watch = RunWatch()
  /// Beats while the schedule is looked at.
  public nonisolated let heartbeat = Heartbeat()
  var jobs = JobSet()
  var plan = SchedulePlan()
  /// Waiting for their turn, in the order they came.
  var waiting: [LiveRun] = []
  var running: [RunID: LiveRun] = [:]
  /// Runs that were given up because they do not end; their clusters stay taken.
  var stuck: [RunID: LiveRun] = [:]
  var keepers: [ClusterID: WALKeeper] = [:]
  /// The newest backup of each cluster that this process made, and what made it.
  var lastBackup: [ClusterID: (started: Timestamp, backup: BackupID, job: Job)] = [:]
  /// When each cluster is pruned next; a day after it last was.
  var nextPrune: [ClusterID: Timestamp] = [:]
  var pruning: Set<ClusterID> = []
  /// By the clock that nobody sets.
  var nextHistoryPrune: Duration = .zero
  var isStopping = false
  /// Clusters whose WAL has a hole: only a new base backup makes what follows usable.
  nonisolated let wishes = Mutex<Set<ClusterID>>([])
  var storeKeepers: [StoreKeeper] = []
  nonisolated let storeNews = StoreNews()
  private let work: AsyncStream<Work>
  let workInput: AsyncStream<Work>.Continuation

  var now: Timestamp { options.clock.now }

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
      group.addTask { await self.sweepDrills() }
      group.addTask { await self.sweepChecks(jobs.jobs) }
      for await work in work {
        group.addTask {
          switch work {
          case .run(let run): await self.execute(run)
          case .adopt(let run, let backup): await self.execute(run, adopting: backup)
          case .wal(let keeper): await keeper.run()
          case .prune(let pruning): await self.execute(pruning)
          case .fill(let keeper): await keeper.run()
          case .beat(let keeper): await keeper.run()
          }
        }
      }
      isStopping = true
      group.cancelAll()
    }
    interruptLeft()
  }

  /// Takes over another set of jobs. Runs that have begun finish under what they began with.
  /// - Parameter repository: The stores from now on, where they are others.
  public func apply(_ jobs: JobSet, repository: Repository? = nil) {
    let old = self.jobs
    self.jobs = jobs
    if let repository {
      self.repository = repository
      // The stores that count now may lack it.
      lastBackup = [:]
    }
    for job in jobs.jobs { replan(job, before: old.job(job.id)) }
    for id in old.jobs.map(\.id) where jobs.job(id) == nil { forget(id) }
    for cluster in old.retention.keys where jobs.retention[cluster] == nil { nextPrune[cluster] = nil }
    var ending: [ClusterID: WALKeeper] = [:]
    for (cluster, keeper) in keepers where repository != nil || jobs.walJob(of: cluster) != keeper.job {
      keeper.cancellation.cancel()
      keepers[cluster] = nil
      ending[cluster] = keeper
    }
    for job in jobs.wal where keepers[job.cluster] == nil { keep(job, after: ending[job.cluster]) }
    if storeKeepers.isEmpty || repository != nil || old.retention != jobs.retention { keepStores() }
    // The backup that a hole calls for may not have come: the daemon was stopped, or there was no job to take it.
    let raised = Set(state.conditions().map(\.id))
    for job in jobs.wal where raised.contains(WALKeeper.gapCondition(of: job.cluster)) { askForBackup(of: job.cluster) }
  }

  /// A job that is no longer configured: what was wrong with it no longer is.
  private func forget(_ id: JobID) {
    plan.remove(id)
    logger.attempt { try state.resolve("job:\(id)") }
  }

  private func keepStores() {
    for keeper in storeKeepers { keeper.cancellation.cancel() }
    let memory = FillMemory()
    storeKeepers = repository.stores.compactMap {
      StoreKeeper(
        $0, of: repository, rules: jobs.retention.mapValues(\.rules), memory: memory, news: storeNews, state: state,
        logger: logger)
    }
    for keeper in storeKeepers { workInput.yield(.fill(keeper)) }
  }

  /// What is known of each store, where there are several.
  public func storeStatus() -> [StoreStatus] { storeKeepers.map(\.now) }

  /// - Parameter predecessor: Receives into the same directory until it has ended.
  private func keep(_ job: WALJob, after predecessor: WALKeeper?) {
    let keeper = WALKeeper(
      job, repository: repository, landingDirectory: options.stateDirectory + "/wal/\(job.cluster)", state: state,
      logger: logger, predecessor: predecessor, news: storeNews
    ) { [weak self] cluster in
      self?.askForBackup(of: cluster)
    }
    keepers[job.cluster] = keeper
    workInput.yield(.wal(keeper))
    if job.beats {
      workInput.yield(.beat(HeartbeatKeeper(job, ending: keeper.cancellation, state: state, logger: logger)))
    }
  }

  nonisolated private func askForBackup(of cluster: ClusterID) { wishes.withLock { _ = $0.insert(cluster) } }

  /// Runs that wait, and those handed to the task group when it took no more.
  private func interruptLeft() {
    for run in waiting + running.values { end(run) { $0.outcome = .interrupted } }
    waiting = []
    running = [:]
  }
}
