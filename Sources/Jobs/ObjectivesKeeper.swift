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
    /// By the clock that nobody sets.
    var nextPrune: Duration = .zero
  }

  private let runner: JobRunner
  private let state: JobStateStore
  private let history: ObjectiveHistory
  let clock: any JobClock
  let logger: Logger
  private let lane = Lane(label: "monitoring.objectives")
  private let begun: Duration
  let memory: Mutex<Memory>
  /// What the stores hold, each read when there is a reason to.
  private let holdings = Mutex<[ClusterID: ClusterHoldings]>([:])

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
    if repository != nil { holdings.withLock { $0 = [:] } }
    // What is promised no more is not missed.
    for condition in state.conditions() {
      guard let tier = ObjectiveCondition.tier(of: condition.id), !names.contains(tier) else { continue }
      note { _ = try state.resolve(condition.id) }
    }
  }

  /// What was found last; empty before the first look.
  public var tiers: [TierStatus] { memory.withLock { $0.tiers } }
  /// Clusters that were looked at.
  public var clusters: Set<ClusterID> { memory.withLock { Set($0.roads.keys) } }
  public func roads(of cluster: ClusterID) -> [RecoveryRoad] { memory.withLock { $0.roads[cluster] ?? [] } }

  /// Looks again and again until cancelled.
  public func run() async {
    while !Task.isCancelled {
      await sample()
      // Ends early only by cancellation, which the loop looks for itself.
      try? await clock.sleep(for: Self.interval)
    }
  }

  /// Looks once.
  func sample() async {
    let reach = await runner.walReach()
    let jobs = await runner.summaries()
    do {
      try await lane.run { [self] _ in try look(reach, jobs) }
    } catch {
      logger.error("objectives not recorded", metadata: ["error": "\(ErrorReport(error))"])
    }
  }

  private func look(_ reach: [ClusterID: WALReach], _ jobs: [JobSummary]) throws {
    let subject = memory.withLock { $0.subject }
    var facts: [ClusterID: ClusterFacts] = [:]
    for cluster in subject.clusters {
      let last = jobs.filter { $0.cluster == cluster }.compactMap(\.lastSuccess).max()
      guard let holdings = readHoldings(of: cluster, subject, reach[cluster], lastSuccess: last) else { continue }
      facts[cluster] = holdings.facts(reach[cluster], now: clock.now)
    }
    let roads = facts.mapValues { RecoveryRoads.roads($0) }
    let tiers = subject.tiers.map { judge($0, facts[$0.cluster], jobs) }
    memory.withLock { memory in
      memory.roads = roads
      memory.tiers = tiers
    }
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

  private func readHoldings(
    of cluster: ClusterID, _ subject: Subject, _ reach: WALReach?, lastSuccess: Timestamp?
  ) -> ClusterHoldings? {
    let known = holdings.withLock { $0[cluster] }
    if let known, known.isFresh(at: clock.uptime, reach, lastSuccess: lastSuccess) { return known }
    do {
      let read = try ClusterHoldings(
        subject.repository, cluster, at: clock.uptime, lastSuccess: lastSuccess,
        keepsWAL: subject.walClusters.contains(cluster))
      holdings.withLock { $0[cluster] = read.keeping(known) }
      return read.keeping(known)
    } catch {
      // What the stores held stays what is known of them; that one does not answer is another's to tell.
      logger.debug(
        "stores not listed", metadata: ["cluster": "\(cluster)", "error": "\(ErrorReport(error))"])
      return known
    }
  }

  // MARK: Judging

  private func judge(_ tier: TierObjective, _ facts: ClusterFacts?, _ jobs: [JobSummary]) -> TierStatus {
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
    tell(ObjectiveCondition.rpo(tier.id), watches.rpo.state) { ObjectiveCondition.rpoReport(status, $0) }
    tell(ObjectiveCondition.rto(tier.id), watches.rto.state) { ObjectiveCondition.rtoReport(status, $0) }
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

  private func tell(_ id: String, _ level: ObjectiveState, _ report: (Condition.Severity) -> ErrorReport) {
    let severity: Condition.Severity? =
      switch level {
      case .missed: .critical
      case .endangered: .warning
      case .met, .unknown: nil
      }
    let known = state.conditions().first { $0.id == id }
    // The text holds the facts of the moment it was raised: once is enough.
    guard known?.severity != severity else { return }
    note {
      guard let severity else {
        _ = try state.resolve(id)
        logger.notice("objective is met again", metadata: ["condition": "\(id)"])
        return
      }
      let condition = Condition(id: id, severity: severity, since: clock.now, report: report(severity))
      _ = try state.raise(condition)
      logger.warning("objective not met", metadata: ["condition": "\(id)", "error": "\(condition.report)"])
    }
  }

  private func note(_ body: () throws -> Void) {
    do { try body() } catch {
      logger.error("could not record a condition", metadata: ["error": "\(ErrorReport(error))"])
    }
  }
}
