import BackupModel
import DaemonConfiguration
import Synchronization
import Systemd

/// The configuration in force, and when it was read.
final class CurrentConfiguration: Sendable {
  let credentials: Credentials
  private let state: Mutex<(configuration: Configuration, loaded: Timestamp)>

  init(_ configuration: Configuration, credentials: Credentials) {
    self.credentials = credentials
    state = Mutex((configuration, .now()))
  }

  var value: Configuration { state.withLock { $0.configuration } }
  var loaded: Timestamp { state.withLock { $0.loaded } }
  func replace(with configuration: Configuration) { state.withLock { $0 = (configuration, .now()) } }
}
