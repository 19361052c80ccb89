import BackupModel
import Jobs
import Logging
import Systemd

/// Tells the service manager that the daemon makes progress, for as long as it does: a process that is alive while its
/// scheduler or a WAL receiver is wedged keeps nothing recoverable.
struct Watchdog {
  let runner: JobRunner
  let notifier: Notifier
  let logger: Logger

  func run() async {
    guard let interval = notifier.watchdogInterval else { return }
    let limit = interval / 2
    var isTold = false
    while !Task.isCancelled {
      // Where the runner itself is wedged this does not return, which is as good as silence.
      let problem = await problem(limit)
      if let problem {
        if !isTold {
          logger.critical(
            "no progress, the service manager is not told otherwise",
            metadata: ["error": "\(problem)", JournalMessage.key: JournalMessage.stalled.metadata])
        }
      } else {
        notifier.watchdog()
      }
      isTold = problem != nil
      // Ends early only by cancellation, which the loop looks for itself.
      try? await Task.sleep(for: interval / 4)
    }
  }

  private func problem(_ limit: Duration) async -> String? {
    let age = runner.heartbeat.age
    if age > limit {
      return "the scheduler has not turned for \(DurationText.format(.seconds(age.components.seconds)))"
    }
    let stalled = await runner.stalledReceivers(for: limit)
    if stalled.isEmpty { return nil }
    return "WAL is not read: the receiver of \(stalled.map(\.rawValue).joined(separator: ", ")) does not turn"
  }
}
