import BackupModel
import DaemonConfiguration
import Jobs
import RepositoryAccess
import Scheduling
import Systemd

/// From the configuration's words to what the jobs need.
enum JobTranslation {
  /// - Throws: `ConfigurationError`, `SystemdError` where a secret cannot be read.
  static func jobs(of configuration: Configuration, credentials: Credentials) throws -> JobSet {
    var jobs: [Job] = []
    var wal: [WALJob] = []
    for job in configuration.jobs {
      guard let cluster = configuration.cluster(job.cluster) else { continue }
      let connection = try connection(cluster.connection, of: cluster, credentials)
      switch job.kind {
      case .physical(let settings):
        let source = try cluster.standby.map { try self.connection($0, of: cluster, credentials) } ?? connection
        let body = physical(settings, cluster, configuration.daemon, source: source, connection: connection)
        jobs.append(scheduled(job, settings.runs, body))
      case .wal(let settings):
        wal.append(
          WALJob(
            id: job.id, cluster: job.cluster, connection: connection, slot: settings.slot,
            partialInterval: settings.partialInterval))
      }
    }
    var retention: [ClusterID: ClusterRetention] = [:]
    for cluster in configuration.clusters {
      retention[cluster.id] = ClusterRetention(
        rules: configuration.retentionRules(for: cluster.id),
        connection: try connection(cluster.connection, of: cluster, credentials))
    }
    let widths = configuration.daemon.widths
    return JobSet(
      jobs: jobs, wal: wal,
      widths: [.backup: widths.backup, .validation: widths.validation, .monitoring: widths.monitoring],
      retention: retention)
  }

  private static func scheduled(_ job: JobSettings, _ runs: RunSettings, _ body: any JobBody) -> Job {
    Job(
      id: job.id, kind: job.kind.name, cluster: job.cluster, group: .backup,
      timetable: runs.schedule.map {
        Timetable(schedule: $0, zone: runs.timeZone, jitter: runs.jitter, missed: runs.missed)
      },
      deadline: runs.deadline, retries: runs.retries, overlap: runs.overlap == .queue ? .queue : .skip, rank: runs.rank,
      body: body)
  }

  private static func physical(
    _ settings: PhysicalSettings, _ cluster: ClusterSettings, _ daemon: DaemonSettings, source: Secret,
    connection: Secret
  ) -> PhysicalJob {
    PhysicalJob(
      cluster: cluster.id, connection: source, walConnection: connection,
      checkpoint: settings.checkpoint == .fast ? .fast : .spread, workers: daemon.workers,
      maximumRate: settings.rate, full: settings.full,
      source: BackupSourceChoice(rawValue: settings.source.rawValue) ?? .auto, dataDirectory: cluster.dataDirectory,
      compressionLevel: settings.compression, isIdle: settings.priority == .idle)
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
