import BackupModel
import DaemonConfiguration
import HealthCheck
import Jobs
import LogicalBackup
import Recovery
import Repository
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
      let connection = try cluster.connectionString { try credentials.read($0) }
      switch job.kind {
      case .physical(let settings):
        let source = try cluster.standbyConnectionString { try credentials.read($0) } ?? connection
        let body = physical(settings, cluster, configuration.daemon, source: source, connection: connection)
        jobs.append(scheduled(job, settings.runs, body))
      case .copy(let settings):
        let body = CopyJob(cluster: job.cluster, to: settings.store)
        // No backup waits for a copy.
        jobs.append(scheduled(job, settings.runs, body, group: .validation))
      case .logical(let settings):
        jobs.append(scheduled(job, settings.runs, logical(settings, cluster, configuration.daemon, connection)))
      case .wal(let settings):
        wal.append(
          WALJob(
            id: job.id, cluster: job.cluster, connection: connection, slot: settings.slot,
            partialInterval: settings.partialInterval, streams: settings.streaming,
            waitsForStores: settings.acknowledge == .stores, isSynchronous: settings.synchronous,
            dropsSlot: settings.onFull == .dropSlot, serverDirectory: cluster.dataDirectory,
            beats: settings.heartbeat))
      case .drill(let settings):
        let body = try drill(settings, job, configuration, connection: connection, credentials: credentials)
        jobs.append(scheduled(job, settings.runs, body, group: .validation))
      case .check(let settings):
        let server = try settings.serverConnectionString { try credentials.read($0) }
        let body = health(settings, job, configuration, cluster, connection: connection, server: server)
        jobs.append(scheduled(job, settings.runs, body, group: .monitoring))
      }
    }
    var retention: [ClusterID: ClusterRetention] = [:]
    for cluster in configuration.clusters {
      retention[cluster.id] = ClusterRetention(
        rules: configuration.retentionRules(for: cluster.id),
        archives: configuration.archiveRules(for: cluster.id),
        connection: try cluster.connectionString { try credentials.read($0) })
    }
    let widths = configuration.daemon.widths
    return JobSet(
      jobs: jobs, wal: wal,
      widths: [.backup: widths.backup, .validation: widths.validation, .monitoring: widths.monitoring],
      retention: retention, history: configuration.daemon.history)
  }

  private static func scheduled(
    _ job: JobSettings, _ runs: RunSettings, _ body: any JobBody, group: LaneGroup = .backup
  ) -> Job {
    Job(
      id: job.id, kind: job.kind.name, cluster: job.cluster, group: group,
      timetable: runs.schedule.map {
        Timetable(schedule: $0, zone: runs.timeZone, jitter: runs.jitter, missed: runs.missed)
      },
      deadline: runs.deadline, retries: runs.retries, overlap: runs.overlap == .queue ? .queue : .skip, rank: runs.rank,
      body: body)
  }

  private static func logical(
    _ settings: LogicalSettings, _ cluster: ClusterSettings, _ daemon: DaemonSettings, _ connection: Secret
  ) -> LogicalJob {
    let content: DumpOptions.Content =
      switch settings.content {
      case .all: .all
      case .data: .data
      case .schema: .schema
      }
    return LogicalJob(
      cluster: cluster.id, connection: connection,
      dump: DumpOptions(
        database: settings.database, tables: settings.tables, excludedTables: settings.excludedTables,
        schemas: settings.schemas, content: content, inserts: settings.inserts,
        serializableDeferrable: settings.serializableDeferrable, lockTimeout: settings.lockTimeout,
        parallel: settings.parallel),
      workers: daemon.workers, compressionLevel: settings.compression, full: settings.full, programs: cluster.programs)
  }

  private static func health(
    _ settings: HealthSettings, _ job: JobSettings, _ configuration: Configuration, _ cluster: ClusterSettings,
    connection: Secret, server: Secret?
  ) -> HealthJob {
    var options = HealthOptions(
      job: job.id, cluster: job.cluster, connection: connection,
      registry: JobRunner.scratchRegistry(in: configuration.daemon.stateDirectory))
    options.scratchServer = server
    options.restores = settings.restores
    options.dumpJob = settings.dumps
    options.sizeLimit = settings.sizeLimit
    options.checks = settings.checks
    options.checkTimeout = settings.checkTimeout
    options.programs = cluster.programs
    return HealthJob(options)
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
}

extension ObjectivesKeeper {
  /// From the configuration's words to what is held against what is attained.
  /// - Parameter repository: The stores from now on, where they are others.
  func apply(_ configuration: Configuration, _ jobs: JobSet, repository: Repository? = nil) {
    let tiers = configuration.tiers.map {
      TierObjective(id: $0.id, cluster: $0.cluster, tables: $0.tables, rpo: $0.rpo, rto: $0.rto)
    }
    apply(tiers, clusters: configuration.clusters.map(\.id), jobs: jobs, repository: repository)
  }
}
