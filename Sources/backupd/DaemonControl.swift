import Alerts
import BackupModel
import BlockingWork
import ControlProtocol
import ControlServer
import DaemonConfiguration
import Glibc
import JobState
import Jobs
import Logging
import Monitoring
import Repository
import Systemd

/// What the daemon does for its callers.
struct DaemonControl: ControlHandler {
  let configuration: CurrentConfiguration
  let state: JobStateStore
  let runner: JobRunner
  let monitor: Monitor
  let notifier: Notifier
  let alerts: AlertNotifier
  let logger: Logger
  let startedAt = Timestamp.now()
  let recoverability: Recoverability
  let objectives: ObjectivesKeeper
  let metricsListener: MetricsListener
  let reloadTurns = Turns()

  init(
    configuration: CurrentConfiguration, state: JobStateStore, repository: Repository, runner: JobRunner,
    monitor: Monitor, objectives: ObjectivesKeeper, notifier: Notifier, alerts: AlertNotifier,
    metricsListener: MetricsListener, logger: Logger
  ) {
    self.configuration = configuration
    self.state = state
    self.runner = runner
    self.monitor = monitor
    self.objectives = objectives
    self.notifier = notifier
    self.alerts = alerts
    self.metricsListener = metricsListener
    self.logger = logger
    recoverability = Recoverability(repository)
  }

  func ping() async -> PingReply { PingReply(version: Backupd.version, pid: getpid(), startedAt: startedAt) }

  func status() async throws -> DaemonStatus {
    let current = configuration.value
    let wal = await runner.walStatus()
    let jobs = await runner.summaries()
    var conditions = state.conditions()
    var clusters: [ClusterStatus] = []
    for cluster in current.clusters {
      var status = ClusterStatus(
        name: cluster.id, systemIdentifier: nil, windows: [], stores: [], roads: objectives.roads(of: cluster.id),
        lastBackup: nil,
        wal: wal.first { $0.cluster == cluster.id })
      do {
        let newest = jobs.filter { $0.cluster == cluster.id }.compactMap(\.lastSuccess).max()
        let found = try await recoverability.look(at: cluster.id, lastSuccess: newest)
        status.systemIdentifier = status.wal?.systemIdentifier ?? found.systemIdentifier
        status.windows = found.windows
        status.stores = found.stores
        status.lastBackup = found.lastBackup
        // What the monitor has not seen yet, which looks less often.
        let known = Set(conditions.map(\.id))
        conditions += found.conditions.filter { !known.contains($0.id) }
      } catch let error as CancellationError {
        throw error
      } catch  where conditions.contains(where: { $0.id == "repository:\(cluster.id)" }) {
        // The monitor has found it too.
      } catch {
        conditions.append(
          Condition(
            id: "repository:\(cluster.id)", severity: error is StoresNotListed ? .warning : .critical, since: .now(),
            report: ErrorReport(error), cluster: cluster.id))
      }
      clusters.append(status)
    }
    let stores = await runner.storeStatus().map { store in
      StoreSummary(
        name: store.name, durability: store.durability, location: store.location,
        missingObjects: store.missingObjects, missingBytes: store.missingBytes.map { ByteCount($0) },
        lagSeconds: store.behindSince.map { max(0, (Timestamp.now() - $0).secondsValue) }, error: store.error)
    }
    return DaemonStatus(
      version: Backupd.version, pid: getpid(), startedAt: startedAt, configurationPath: current.path,
      configurationLoadedAt: configuration.loaded, clusters: clusters, tiers: objectives.tiers, stores: stores,
      copies: copies(current), jobs: jobs, running: state.liveRuns(), conditions: conditions)
  }

  /// As the runs of their jobs have told: a store in a cold class is not asked for this.
  private func copies(_ configuration: Configuration) -> [CopySummary] {
    configuration.jobs.compactMap { job in
      guard case .copy(let settings) = job.kind else { return nil }
      let known = state.state(of: job.id)
      return CopySummary(
        store: settings.store, cluster: job.cluster, job: job.id, backup: known.lastBackup, copied: known.lastSuccess)
    }
  }

  func jobs() async throws -> [JobSummary] { await runner.summaries() }
  func walStatus() async throws -> [WALStatus] { await runner.walStatus() }

  func acknowledgeGaps(of cluster: ClusterID?, caller: Caller) async throws -> [ClusterID] {
    try await runner.acknowledgeGaps(of: cluster)
  }

  func pushWAL(_ path: String, of cluster: ClusterID, caller: Caller) async throws {
    do {
      try await runner.pushWAL(path, of: cluster)
    } catch let error as JobsError {
      throw Self.failure(error)
    }
  }

  func startJob(_ job: JobID, caller: Caller) async throws -> RunRecord {
    do {
      return try await runner.start(job)
    } catch let error as JobsError {
      throw Self.failure(error)
    }
  }

  func runJob(
    _ job: JobID, caller: Caller, update: @escaping @Sendable (RunRecord) async throws -> Void
  ) async throws -> RunRecord {
    // Follow before starting: no change is missed in between.
    let changes = runner.follow()
    let record = try await startJob(job, caller: caller)
    try await update(record)
    for await change in changes where change.run == record.run {
      if change.outcome != nil && change.finished != nil { return change }
      try await update(change)
    }
    throw ControlFailure.shuttingDown()
  }

  func cancelRun(_ run: RunID, caller: Caller) async throws {
    do {
      try await runner.cancel(run)
    } catch let error as JobsError {
      throw Self.failure(error)
    }
  }

  func runs(job: JobID?, limit: Int) async throws -> [RunRecord] {
    let live = state.liveRuns().filter { job == nil || $0.job == job }
    let ended = try state.runs(of: job, limit: limit).runs.reversed()
    return (Array(ended) + live).suffix(limit)
  }

  func followRuns(
    job: JobID?, limit: Int, update: @escaping @Sendable ([RunRecord]) async throws -> Void
  ) async throws {
    let changes = runner.follow()
    try await update(try await runs(job: job, limit: limit))
    for await change in changes where job == nil || change.job == job { try await update([change]) }
  }

  private static func failure(_ error: JobsError) -> ControlFailure {
    let report = ErrorReport(error)
    return switch error {
    case .noSuchJob: ControlFailure(.noSuchJob, report)
    case .noSuchRun: ControlFailure(.noSuchRun, report)
    case .noWALJob: ControlFailure(.noSuchCluster, report)
    case .stopping: ControlFailure(.shuttingDown, report)
    case .longRunning: ControlFailure(.alreadyRunning, report)
    default: ControlFailure(.jobFailed, report)
    }
  }
}
