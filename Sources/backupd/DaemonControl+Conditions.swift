import BackupModel
import DaemonConfiguration
import JobState
import Logging

/// Conditions of what the configuration no longer names, such as a job that was taken out while the daemon was down.
enum ForgottenConditions {
  static func resolve(_ state: JobStateStore, _ configuration: Configuration, _ logger: Logger) {
    logger.attempt {
      for condition in try state.resolveConditions(where: { isGone($0, configuration) }) {
        logger.notice("condition ended, what it is about is gone", metadata: ["condition": "\(condition.id)"])
      }
    }
  }

  private static func isGone(_ condition: Condition, _ configuration: Configuration) -> Bool {
    if let cluster = condition.cluster, configuration.cluster(cluster) == nil { return true }
    if let job = condition.job, configuration.job(job) == nil { return true }
    guard let store = condition.store else { return false }
    return !configuration.repository.stores.contains { $0.id == store }
  }
}
