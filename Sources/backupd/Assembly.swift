import Alerts
import BackupModel
import ControlServer
import DaemonConfiguration
import DurableFiles
import Glibc
import JobState
import Jobs
import Logging
import MetricsExport
import Monitoring
import Repository
import RepositoryAccess
import Systemd

/// Builds all parts and connects them: one tree of tasks, from here down.
struct Assembly {
  /// Holds the state directory for this process; the kernel lets go of it when the process ends.
  private final class StateLock: Sendable {
    private let file: LockFile
    init(_ file: consuming LockFile) { self.file = file }
  }

  private let lock: StateLock
  private let configuration: CurrentConfiguration
  private let state: JobStateStore
  private let repository: Repository
  private let runner: JobRunner
  private let objectives: ObjectivesKeeper
  private let notifier: Notifier
  private let alerts: AlertNotifier
  private let logger: Logger
  private let first: Configuration

  /// Reads the configuration, opens state and repository. Nothing runs yet.
  init(
    configurationPath: String, credentials: Credentials, notifier: Notifier, logger: Logger
  ) throws {
    let first = try Configuration.load(path: configurationPath)
    try DurableFile.makeDirectory(first.daemon.stateDirectory, mode: 0o700)
    guard let lock = try LockFile.tryLock(first.daemon.stateDirectory + "/lock") else {
      throw DaemonError.alreadyRunning(first.daemon.stateDirectory)
    }
    self.first = first
    self.notifier = notifier
    self.logger = logger
    state = try JobStateStore(directory: first.daemon.stateDirectory, now: .now())
    for problem in state.problems {
      logger.error("a state file was kept aside", metadata: ["error": "\(problem)"])
    }
    for run in try state.recoverInterrupted(now: .now()) {
      logger.warning(
        "an earlier run was interrupted", metadata: ["job": "\(run.job)", "run": "\(run.run)"])
    }
    repository = try ConfiguredRepository.open(first.repository, credentials)
    for one in repository.keys.unopened {
      logger.warning(
        "a key of the repository does not open", metadata: ["envelope": "\(one.envelope)", "error": "\(one.cause)"])
    }
    do {
      try ConfiguredRepository.sweep(repository)
    } catch {
      // Only space is lost by it; whatever is wrong with the store shows when it is written to.
      logger.warning("unfinished objects not removed", metadata: ["error": "\(ErrorReport(error))"])
    }
    runner = JobRunner(
      .init(stateDirectory: first.daemon.stateDirectory), repository: repository, state: state, logger: logger)
    alerts = try AlertNotifier(
      .init(directory: first.daemon.stateDirectory + "/alerts", host: AlertTranslation.hostName), state: state,
      logger: logger)
    objectives = try ObjectivesKeeper(runner: runner, state: state, repository: repository, logger: logger)
    configuration = CurrentConfiguration(first, credentials: credentials)
    self.lock = StateLock(lock)
  }

  /// Runs until SIGTERM or SIGINT.
  func run() async throws {
    let jobs = try JobTranslation.jobs(of: first, credentials: configuration.credentials)
    let monitor = Monitor(
      MonitorTranslation.plan(of: first, jobs: jobs), repository: repository, state: state,
      sources: Self.sources(runner), logger: logger)
    let board = MetricsBoard()
    let metrics = MetricsListener(board: board, state: state, logger: logger)
    let control = DaemonControl(
      configuration: configuration, state: state, repository: repository, runner: runner, monitor: monitor,
      objectives: objectives, notifier: notifier, alerts: alerts, metricsListener: metrics, logger: logger)
    var options = ControlServerOptions(path: first.daemon.socket, version: Backupd.version)
    options.adminGroup = try AdminGroup.identifier(of: first.daemon.adminGroup)
    let server = ControlServer(options: options, handler: control, logger: logger)
    let (runner, objectives, notifier, alerts, logger) = (runner, objectives, notifier, alerts, logger)
    let summary = Self.summary(first)
    let socket = first.daemon.socket
    // However often the signal comes meanwhile, one more reload sees the newest file.
    let (reloads, reloadInput) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let signals = SignalStream([SIGTERM, SIGINT, SIGHUP])
    let endSignals = signals.end
    logger.info(
      "backupd starts",
      metadata: ["version": "\(Backupd.version)", "configuration": "\(first.path)", "jobs": "\(first.jobs.count)"])
    ForgottenConditions.resolve(state, first, logger)
    // A file that was refused has been mended since, or this one would not run.
    _ = try state.resolve(DaemonControl.refusedConfiguration)
    // Before anybody can ask for one of them.
    await runner.apply(jobs)
    alerts.apply(AlertTranslation.routes(of: first, credentials: configuration.credentials))
    objectives.apply(first, jobs)
    metrics.apply(first.metrics.listen)
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { await runner.run(jobs) }
      group.addTask {
        // Nobody else ends the wait for a signal: without a socket the daemon stops, and says why.
        defer { endSignals() }
        try await server.run {
          notifier.ready(status: summary)
          logger.info(
            "ready", metadata: ["socket": "\(socket)", JournalMessage.key: JournalMessage.ready.metadata])
        }
      }
      group.addTask { await objectives.run() }
      group.addTask { await MetricsPublisher(control, board: board).run() }
      group.addTask { await metrics.run() }
      group.addTask { await control.reportStatus() }
      group.addTask { await alerts.run() }
      group.addTask { await control.sendHeartbeat() }
      group.addTask { await monitor.run() }
      // Not in the loop below: a reload that waits for a store must not keep the daemon from being stopped.
      group.addTask { for await _ in reloads { await control.reloadOnSignal() } }
      group.addTask { await Watchdog(runner: runner, notifier: notifier, logger: logger).run() }
      for await signal in signals.received {
        if signal == SIGHUP {
          reloadInput.yield()
          continue
        }
        notifier.stopping(status: "stopping")
        logger.info("backupd stops", metadata: ["signal": "\(signal == SIGTERM ? "SIGTERM" : "SIGINT")"])
        break
      }
      group.cancelAll()
    }
    logger.info("backupd has stopped")
  }

  private static func sources(_ runner: JobRunner) -> Monitor.Sources {
    Monitor.Sources(
      walStatus: { await runner.walStatus() },
      lags: {
        await runner.storeStatus().map {
          StoreLag(store: $0.name, behindSince: $0.behindSince, missingBytes: $0.missingBytes.map { ByteCount($0) })
        }
      })
  }

  static func summary(_ configuration: Configuration) -> String {
    "\(configuration.clusters.count) cluster\(configuration.clusters.count == 1 ? "" : "s"), "
      + "\(configuration.jobs.count) job\(configuration.jobs.count == 1 ? "" : "s")"
  }
}
