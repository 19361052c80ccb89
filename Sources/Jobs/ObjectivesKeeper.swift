public import BackupModel
internal import BlockingWork
public import JobState
public import Logging
internal import Objectives
public import Repository
import Synchronization
internal import WALArchiving

/// What is promised for one class of data.
public struct TierObjective: Sendable, Hashable {
  public var id: TierID
  public var cluster: ClusterID
  /// Empty: the whole cluster.
  public var tables: [String]
  public var rpo: Duration
  public var rto: Duration

  public init(id: TierID, cluster: ClusterID, tables: [String], rpo: Duration, rto: Duration) {
    self.id = id
    self.cluster = cluster
    self.tables = tables
    self.rpo = rpo
    self.rto = rto
  }
}

/// Holds what is attained against what is promised, again and again: raises and resolves the conditions
/// `objective-rpo:TIER` and `objective-rto:TIER`, and keeps a history.
public final class ObjectivesKeeper: Sendable {
  /// From cause to condition it takes two of these.
  static let interval: Duration = .seconds(10)
  /// Whether stores are to be listed again is asked so often.
  static let listingInterval: Duration = .seconds(3)
  /// Before it nothing is raised: receivers are still connecting.
  static let grace: Duration = .seconds(30)

  /// Whose objectives.
  struct Subject {
    var clusters: [ClusterID]
    var tiers: [TierObjective]
    /// Whose WAL a job keeps.
    var walClusters: Set<ClusterID>
    var repository: Repository
    /// How long hours are remembered.
    var history: Duration
  }

  struct Watches {
    var rpo: ObjectiveWatch
    var rto: ObjectiveWatch
  }

  struct Memory {
    var subject: Subject
    var watches: [TierID: Watches] = [:]
    var tiers: [TierStatus] = []
    var roads: [ClusterID: [RecoveryRoad]] = [:]
    /// Whether the history could not be written last time.
    var isHistoryBroken = false
    /// By the clock that nobody sets.
    var nextPrune: Duration = .zero
  }

  private let runner: JobRunner
  let state: JobStateStore
  let history: ObjectiveHistory
  let clock: any JobClock
  let logger: Logger
  private let lane = Lane(label: "monitoring.objectives")
  let begun: Duration
  let memory: Mutex<Memory>
  private let holdings: HoldingsKeeper

  /// - Throws: `FileError` where the history cannot be opened.
  public init(
    runner: JobRunner, state: JobStateStore, repository: Repository, clock: any JobClock = HostJobClock(),
    logger: Logger
  ) throws {
    self.runner = runner
    self.state = state
    self.clock = clock
    self.logger = logger
    begun = clock.uptime
    holdings = HoldingsKeeper(clock: clock, logger: logger)
    history = try ObjectiveHistory(directory: state.directory + "/objectives", now: clock.now)
    memory = Mutex(
      Memory(
        subject: Subject(
          clusters: [], tiers: [], walClusters: [], repository: repository, history: .seconds(400 * 86400))))
  }

  /// Takes over another configuration.
  /// - Parameter repository: The stores from now on, where they are others.
  public func apply(_ tiers: [TierObjective], clusters: [ClusterID], jobs: JobSet, repository: Repository? = nil) {
    let names = Set(tiers.map(\.id))
    memory.withLock { memory in
      memory.subject.clusters = clusters
      memory.subject.tiers = tiers
      memory.subject.walClusters = Set(jobs.wal.map(\.cluster))
      memory.subject.history = jobs.history
      if let repository { memory.subject.repository = repository }
      memory.watches = memory.watches.filter { names.contains($0.key) }
      memory.tiers.removeAll { !names.contains($0.name) }
    }
    if repository != nil { holdings.forget() }
    resolveDropped()
  }

  /// What is promised no more is not missed.
  private func resolveDropped() {
    let names = Set(memory.withLock { $0.subject.tiers }.map(\.id))
    for condition in state.conditions() {
      guard let tier = ObjectiveCondition.tier(of: condition.id), !names.contains(tier) else { continue }
      logger.attempt { try state.resolve(condition.id) }
    }
  }

  /// What was found last; empty before the first look.
  public var tiers: [TierStatus] { memory.withLock { $0.tiers } }
  /// Clusters that were looked at.
  public var clusters: Set<ClusterID> { memory.withLock { Set($0.roads.keys) } }
  public func roads(of cluster: ClusterID) -> [RecoveryRoad] { memory.withLock { $0.roads[cluster] ?? [] } }

  /// Looks again and again until cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.repeating(every: Self.interval) { await self.sample() } }
      group.addTask { await self.repeating(every: Self.listingInterval) { await self.listStores() } }
    }
  }

  private func repeating(every pause: Duration, _ body: () async -> Void) async {
    while !Task.isCancelled {
      await body()
      // Ends early only by cancellation, which the loop looks for itself.
      try? await clock.sleep(for: pause)
    }
  }

  private func listStores() async {
    let reach = await runner.walReach()
    let jobs = await runner.summaries()
    let subject = memory.withLock { $0.subject }
    for cluster in subject.clusters {
      let last = jobs.filter { $0.cluster == cluster }.compactMap(\.lastSuccess).max()
      let reason = HoldingsKeeper.Reason(
        reach: reach[cluster], lastSuccess: last, keepsWAL: subject.walClusters.contains(cluster))
      await holdings.refresh(cluster, in: subject.repository, reason)
    }
  }

  private func sample() async {
    let reach = await runner.walReach()
    let jobs = await runner.summaries()
    do {
      try await lane.run { [self] _ in try look(reach, jobs) }
      memory.withLock { $0.isHistoryBroken = false }
    } catch {
      // Once, and not every ten seconds for as long as a disk is full.
      let isNew = memory.withLock { memory in
        defer { memory.isHistoryBroken = true }
        return !memory.isHistoryBroken
      }
      if isNew { logger.error("objectives not recorded", metadata: ["error": "\(ErrorReport(error))"]) }
    }
  }

  private func look(_ reach: [ClusterID: WALReach], _ jobs: [JobSummary]) throws {
    let subject = memory.withLock { $0.subject }
    var facts: [ClusterID: ClusterFacts] = [:]
    for cluster in subject.clusters {
      facts[cluster] = holdings.holdings(of: cluster)?.facts(reach[cluster], now: clock.now)
    }
    let roads = facts.mapValues { RecoveryRoads.roads($0) }
    let tiers = subject.tiers.map { judge($0, facts[$0.cluster], jobs) }
    memory.withLock { memory in
      // The configuration may have changed meanwhile.
      let names = Set(memory.subject.tiers.map(\.id))
      memory.roads = roads
      memory.tiers = tiers.filter { names.contains($0.name) }
    }
    resolveDropped()
    let now = clock.now
    let attained = tiers.map {
      (
        $0.name,
        AttainedObjective(
          lossSeconds: $0.lossSeconds, rpoState: $0.rpoState, recoverySeconds: $0.recoverySeconds)
      )
    }
    try pruneHistory(subject)
    guard !attained.isEmpty else { return }
    try history.record(ObjectiveSample(at: now, tiers: Dictionary(uniqueKeysWithValues: attained)))
  }

  /// At the start and each day.
  private func pruneHistory(_ subject: Subject) throws {
    let isDue = memory.withLock { memory in
      guard clock.uptime >= memory.nextPrune else { return false }
      memory.nextPrune = clock.uptime + .seconds(86400)
      return true
    }
    if isDue { try history.prune(olderThan: subject.history, now: clock.now) }
  }
}
