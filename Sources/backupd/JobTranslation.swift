import BackupModel
import DaemonConfiguration
import Jobs
import RepositoryAccess
import Systemd

/// From the configuration's words to what the jobs need.
enum JobTranslation {
  /// - Throws: `ConfigurationError`, `SystemdError` where a secret cannot be read.
  static func jobs(of configuration: Configuration, credentials: Credentials) throws -> JobSet {
    var set = JobSet(backupWidth: configuration.daemon.backupWidth)
    for cluster in configuration.clusters {
      set.retention[cluster.id] = configuration.retentionRules(for: cluster.id)
    }
    for job in configuration.jobs {
      guard let cluster = configuration.cluster(job.cluster) else { continue }
      let connection = try connection(cluster.connection, of: cluster, credentials)
      let source = try cluster.standby.map { try self.connection($0, of: cluster, credentials) } ?? connection
      switch job.kind {
      case .physical(let settings):
        set.physical.append(
          PhysicalJob(
            id: job.id, cluster: job.cluster, connection: source, walConnection: connection,
            schedule: settings.schedule,
            zone: settings.timeZone, checkpoint: settings.checkpoint == .fast ? .fast : .spread,
            deadline: settings.deadline, retries: settings.retries, missed: settings.missed == .once ? .once : .skip,
            workers: configuration.daemon.workers, maximumRate: settings.rate,
            full: settings.full, source: BackupSourceChoice(rawValue: settings.source.rawValue) ?? .auto,
            dataDirectory: cluster.dataDirectory, compressionLevel: settings.compression,
            isIdle: settings.priority == .idle))
      case .wal(let settings):
        set.wal.append(
          WALJob(
            id: job.id, cluster: job.cluster, connection: connection, slot: settings.slot,
            partialInterval: settings.partialInterval))
      }
    }
    return set
  }

  private static func connection(
    _ text: String, of cluster: ClusterSettings, _ credentials: Credentials
  ) throws -> Secret {
    guard let source = cluster.password else { return Secret(text) }
    let password = try source.read { try credentials.read($0) }.revealText()
    let quoted = password.map { $0 == "\\" || $0 == "'" ? "\\\($0)" : String($0) }.joined()
    // An address cannot take further words; it takes the password as a parameter.
    if text.contains("://") {
      let encoded = password.utf8.map { "%" + Hexadecimal.padded(UInt64($0), digits: 2, uppercase: true) }.joined()
      return Secret(text + (text.contains("?") ? "&" : "?") + "password=" + encoded)
    }
    return Secret(text + " password='\(quoted)'")
  }
}
