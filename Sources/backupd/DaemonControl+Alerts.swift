import Alerts
import BackupModel
import ControlProtocol
import ControlServer
import DaemonConfiguration

/// Alerts, and the heartbeat that goes on while there is no need of them.
extension DaemonControl {
  func testAlerts(channel: AlertChannelID?, caller: Caller) async throws -> [AlertTestResult] {
    let results = await alerts.test(channel)
    if let channel, results.isEmpty { throw ControlFailure.noSuchChannel(channel, known: alerts.channels) }
    return results
  }

  /// Calls the heartbeat's address until cancelled.
  func sendHeartbeat() async {
    let ping = HealthPing(state: state, logger: logger)
    await ping.run {
      AlertTranslation.heartbeat(of: configuration.value, credentials: configuration.credentials)
    } problem: {
      await stalledPart()
    }
  }

  /// A loop that does not turn; nil where all do.
  private func stalledPart() async -> String? {
    let limit: Duration = .seconds(60)
    if runner.heartbeat.age > limit { return "the scheduler does not turn" }
    if let cluster = await runner.stalledReceivers(for: limit).first { return "the WAL of \(cluster) is not read" }
    // A message that a slow server takes may need two minutes.
    return alerts.stalledChannels(for: .seconds(300)).first.map { "channel \($0) does not turn" }
  }
}
