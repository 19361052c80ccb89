import BackupModel
import ControlProtocol
import ControlServer
import DaemonConfiguration
import JobState
import Jobs
import Logging

/// Reloading, the same way for SIGHUP and `backupctl reload`.
extension DaemonControl {
  private static let condition = "configuration"

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

  /// Checks the new file whole; where it is wrong, the old configuration stays.
  private func reload() async throws -> [String] {
    notifier.reloading()
    defer { notifier.ready(status: Assembly.summary(configuration.value)) }
    let old = configuration.value
    do {
      var new = try Configuration.load(path: old.path)
      let jobs = try JobTranslation.jobs(of: new, credentials: configuration.credentials)
      var differences = new.difference(from: old)
      // What is bound when the daemon starts stays as it was, and is said.
      if new.repository != old.repository || new.daemon != old.daemon {
        differences.append("changes below \"repository\" and \"daemon\" take effect when backupd is restarted")
        new.repository = old.repository
        new.daemon = old.daemon
      }
      configuration.replace(with: new)
      await runner.apply(jobs)
      try resolve()
      logger.notice(
        "configuration reloaded",
        metadata: ["differences": "\(differences.isEmpty ? "none" : differences.joined(separator: "; "))"])
      return differences
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
    _ = try state.raise(Condition(id: Self.condition, severity: .warning, since: .now(), report: report))
  }

  private func resolve() throws { _ = try state.resolve(Self.condition) }

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
