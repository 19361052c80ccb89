import BackupModel
import BlockingWork
import ControlProtocol
import ControlServer
import DaemonConfiguration
import JobState
import Jobs
import Logging
import Monitoring
import Repository
import RepositoryAccess
import Systemd

/// Reloading, the same way for SIGHUP and `backupctl reload`.
extension DaemonControl {
  static let refusedConfiguration = "configuration"

  func reload(caller: Caller) async throws -> [String] {
    do {
      return try await reload()
    } catch {
      throw ControlFailure(.configurationInvalid, ErrorReport(error))
    }
  }

  /// Nobody waits for the answer: it goes to the log and, where the file is wrong, into a condition.
  func reloadOnSignal() async {
    do {
      _ = try await reload()
    } catch {
      // Logged and raised by `reload` already; the old configuration stays in force.
      return
    }
  }

  /// Checks the new file whole; where it is wrong, the old configuration stays. One after the other: of two files read
  /// at the same time the older must not come into force last.
  private func reload() async throws -> [String] {
    await reloadTurns.begin()
    do {
      let differences = try await reloadAlone()
      await reloadTurns.end()
      return differences
    } catch {
      await reloadTurns.end()
      throw error
    }
  }

  /// On a lane: a disk may not answer. A store that was there before may be away for a while, one that is new must answer:
  /// what is wrong with it is found now, not by the next backup.
  private static func open(
    _ settings: RepositorySettings, after old: RepositorySettings, _ credentials: Credentials
  ) async throws -> Repository {
    try await Lane(label: "reload").run { _ in
      for store in settings.stores where !old.stores.contains(store) {
        var alone = settings
        alone.stores = [store]
        for store in try ConfiguredRepository.open(alone, credentials).stores { try store.requireLock() }
      }
      return try ConfiguredRepository.open(settings, credentials)
    }
  }

  private func reloadAlone() async throws -> [String] {
    notifier.reloading()
    defer { notifier.ready(status: Assembly.summary(configuration.value)) }
    let old = configuration.value
    do {
      var new = try Configuration.load(path: old.path)
      let jobs = try JobTranslation.jobs(of: new, credentials: configuration.credentials)
      var differences = new.difference(from: old)
      if let bound = new.daemon.keepBound(of: old.daemon) { differences.append(bound) }
      let isMoved = new.repository != old.repository
      let credentials = configuration.credentials
      let repository = isMoved ? try await Self.open(new.repository, after: old.repository, credentials) : nil
      configuration.replace(with: new)
      if let repository { await recoverability.replace(with: repository) }
      await runner.apply(jobs, repository: repository)
      ForgottenConditions.resolve(state, new, logger)
      alerts.apply(AlertTranslation.routes(of: new, credentials: credentials))
      await monitor.apply(MonitorTranslation.plan(of: new, jobs: jobs), repository: repository)
      objectives.apply(new, jobs, repository: repository)
      metricsListener.apply(new.metrics.listen)
      try resolve()
      logger.notice(
        "configuration reloaded",
        metadata: ["differences": "\(differences.isEmpty ? "none" : differences.joined(separator: "; "))"])
      return differences
    } catch is CancellationError {
      // Who asked has hung up, or the daemon stops: nothing is wrong with the file.
      throw CancellationError()
    } catch {
      let report = ErrorReport(error)
      logger.error(
        "configuration not reloaded, the old one stays",
        metadata: [
          "error": "\(report)", JournalMessage.key: JournalMessage.configurationRefused.metadata,
        ])
      try raise(report)
      throw error
    }
  }

  private func raise(_ report: ErrorReport) throws {
    _ = try state.raise(Condition(id: Self.refusedConfiguration, severity: .warning, since: .now(), report: report))
  }

  private func resolve() throws { _ = try state.resolve(Self.refusedConfiguration) }

  /// Keeps the line that `systemctl status` shows up to date.
  func reportStatus() async {
    var last = ""
    while !Task.isCancelled {
      let text = await statusLine()
      if text != last { notifier.status(text) }
      last = text
      // Ends early only by cancellation, which the loop looks for itself.
      try? await Task.sleep(for: .seconds(5))
    }
  }

  private func statusLine() async -> String {
    var parts = [Assembly.summary(configuration.value)]
    for run in state.liveRuns() { parts.append("\(run.job) \(run.progress?.phase ?? "running")") }
    for wal in await runner.walStatus() {
      parts.append("WAL of \(wal.cluster) \(wal.state)" + (wal.flushedLSN.map { " at \($0)" } ?? ""))
    }
    let conditions = state.conditions()
    if !conditions.isEmpty { parts.append("\(conditions.count) condition\(conditions.count == 1 ? "" : "s") raised") }
    return parts.joined(separator: "; ")
  }
}

/// Lets callers through one at a time, in the order they came.
actor Turns {
  private var isTaken = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func begin() async {
    if !isTaken {
      isTaken = true
      return
    }
    await withCheckedContinuation { waiting.append($0) }
  }

  func end() {
    if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
  }
}

extension DaemonSettings {
  /// Puts back what is bound when the daemon starts.
  /// - Returns: What therefore has to wait; nil where nothing has.
  mutating func keepBound(of earlier: DaemonSettings) -> String? {
    var keys: [String] = []
    if stateDirectory != earlier.stateDirectory { keys.append("state-directory") }
    if socket != earlier.socket { keys.append("socket") }
    if adminGroup != earlier.adminGroup { keys.append("admin-group") }
    stateDirectory = earlier.stateDirectory
    socket = earlier.socket
    adminGroup = earlier.adminGroup
    if keys.isEmpty { return nil }
    return "daemon: \(keys.joined(separator: ", ")) will change when backupd is restarted, not before"
  }
}
