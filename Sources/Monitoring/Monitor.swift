public import BackupModel
internal import BlockingWork
public import JobState
public import Logging
public import Repository

/// Looks at everything again and again, and raises and resolves what is wrong.
///
/// Each server, store and disk is asked on a lane of its own, and waited for a few seconds: one that hangs is silent, and
/// holds up nobody else. Lives on a lane, since it writes files.
public actor Monitor {
  /// What other parts of the daemon know.
  public struct Sources: Sendable {
    public var walStatus: @Sendable () async -> [WALStatus]
    public var lags: @Sendable () async -> [StoreLag]

    public init(
      walStatus: @escaping @Sendable () async -> [WALStatus], lags: @escaping @Sendable () async -> [StoreLag]
    ) {
      self.walStatus = walStatus
      self.lags = lags
    }
  }

  private let lane = Lane(label: "monitoring.conditions")
  public nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

  let state: JobStateStore
  let sources: Sources
  let logger: Logger
  var plan: MonitorPlan
  var repository: Repository
  var memory = MonitorMemory()
  private var hysteresis: Hysteresis
  private var configured: ConfiguredJobs
  private var ended: [ClusterID: Timestamp] = [:]
  let servers = Board<ClusterID, ServerState>()
  let roots = Board<StoreID, Bool>()
  let catalogs = Board<ClusterID, ClusterObservation.Catalog>()
  let disks = Board<String, [DiskSpace]>()
  let manifests = KnownBackups()

  /// Nothing is asked before ``run()``.
  public init(
    _ plan: MonitorPlan, repository: Repository, state: JobStateStore, sources: Sources, logger: Logger
  ) {
    self.plan = plan
    self.repository = repository
    self.state = state
    self.sources = sources
    self.logger = logger
    hysteresis = Hysteresis(interval: plan.settings.interval)
    // Where it cannot be read every job is new, which makes conditions late and never wrong; the file is kept aside.
    var known: ConfiguredJobs?
    do {
      known = try state.document(ConfiguredJobs.self, named: Self.file, now: .now())
    } catch {
      logger.error("a state file was kept aside", metadata: ["error": "\(ErrorReport(error))"])
    }
    configured = known ?? ConfiguredJobs()
  }

  private static let file = "monitor.json"
  /// Catalogues cost requests to the stores.
  private static let catalogEvery = 10

  /// How long an answer is waited for.
  var patience: Duration { min(.seconds(10), max(.seconds(2), plan.settings.interval)) }

  /// Watches something else from now on.
  /// - Parameter repository: The stores, where they are others.
  public func apply(_ plan: MonitorPlan, repository: Repository? = nil) {
    self.plan = plan
    hysteresis.interval = plan.settings.interval
    if let repository {
      self.repository = repository
      for cluster in plan.clusters { catalogs.forget(cluster.id) }
    }
  }

  /// Looks until cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        ask(&group)
        await waitForAnswers()
        if Task.isCancelled { break }
        let pause = await judge()
        // Ends early only by cancellation, which the loop looks for itself.
        try? await Task.sleep(for: max(pause, .milliseconds(50)))
      }
      group.cancelAll()
    }
  }

  // MARK: Asking

  private func ask(_ group: inout DiscardingTaskGroup) {
    let (repository, patience, settings) = (repository, patience, plan.settings)
    for cluster in plan.clusters where servers.begin(cluster.id) {
      group.addTask { await self.askServer(cluster, limit: patience * 3) }
    }
    for store in repository.allStores where roots.begin(store.id) {
      group.addTask { await self.askRoot(store, repository) }
    }
    for cluster in plan.clusters {
      let newest = plan.jobs.filter { $0.cluster == cluster.id }.compactMap { state.state(of: $0.id).lastFinished }
        .max()
      if newest != ended[cluster.id] { catalogs.forget(cluster.id) }
      guard catalogs.begin(cluster.id, every: settings.interval * Self.catalogEvery) else { continue }
      ended[cluster.id] = newest
      group.addTask { await self.askCatalog(cluster.id, repository) }
    }
    for directory in plan.directories where disks.begin(directory.name) {
      group.addTask { await self.askDisk(directory) }
    }
  }

  private func waitForAnswers() async {
    let patience = patience
    while servers.isWaiting(patience: patience) || roots.isWaiting(patience: patience)
      || disks.isWaiting(patience: patience) || catalogs.isWaiting(patience: patience)
    {
      do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
    }
  }

  // MARK: Judging

  /// - Returns: When to look again.
  private func judge() async -> Duration {
    let (plan, now) = (plan, Timestamp.now())
    if configured.update(plan.jobs, now: now) {
      logger.attempt { try state.write(configured, named: Self.file) }
    }
    let observations = await observe(plan, configured, now: now)
    let change = hysteresis.take(
      Rules.judge(observations), raised: state.conditions(), now: now, uptime: .seconds(HostClock.bootSeconds))
    for condition in change.raise { raise(condition) }
    for id in change.resolve { resolve(id) }
    return min(plan.settings.interval, change.next ?? plan.settings.interval)
  }

  private func raise(_ condition: Condition) {
    logger.attempt {
      let isNew = !state.isRaised(condition.id)
      guard try state.raise(condition.about(plan)) else { return }
      logger.warning(
        isNew ? "condition raised" : "condition has become worse",
        metadata: [
          "condition": "\(condition.id)", "severity": "\(condition.severity.rawValue)", "error": "\(condition.report)",
        ])
    }
  }

  private func resolve(_ id: String) {
    logger.attempt {
      guard let condition = try state.resolve(id) else { return }
      logger.notice(
        "condition resolved", metadata: ["condition": "\(id)", "since": "\(condition.since)"])
    }
  }
}

extension Condition {
  /// The same with its subject, by which alerts are routed.
  fileprivate func about(_ plan: MonitorPlan) -> Condition {
    var condition = self
    guard let (kind, subject) = ConditionKind.parts(of: id) else { return condition }
    let names = subject.split(separator: ":").map(String.init)
    switch kind {
    case .server, .clock, .slot, .archiver, .walThin, .backupAge, .repository, .pruneIdle:
      condition.cluster = names.first.flatMap(ClusterID.init(rawValue:))
    case .noSuccess, .retries, .backupCount, .backupSize, .changePattern:
      condition.job = names.first.flatMap(JobID.init(rawValue:))
      condition.cluster = plan.jobs.first { $0.id == condition.job }?.cluster
    case .storeUnreachable, .storeLag:
      condition.store = names.first.flatMap(StoreID.init(rawValue:))
    case .damage:
      condition.store = names.first.flatMap(StoreID.init(rawValue:))
      condition.cluster = names.dropFirst().first.flatMap(ClusterID.init(rawValue:))
    case .history, .damagedBackup, .disk: break
    }
    return condition
  }
}

/// All rules.
public enum Rules {
  public static func judge(_ observations: Observations) -> [Judgement] {
    observations.clusters.flatMap { ServerRules.judge($0, observations.settings) } + StoreRules.judge(observations)
      + JobRules.judge(observations) + BackupRules.judge(observations) + PatternRules.judge(observations)
  }
}

/// What is known of an eventual store's queue.
public struct StoreLag: Sendable, Hashable {
  public var store: StoreID
  public var behindSince: Timestamp?
  /// Nil where the store cannot be looked at.
  public var missingBytes: ByteCount?

  public init(store: StoreID, behindSince: Timestamp?, missingBytes: ByteCount?) {
    self.store = store
    self.behindSince = behindSince
    self.missingBytes = missingBytes
  }
}
