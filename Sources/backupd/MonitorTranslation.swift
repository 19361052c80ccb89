import BackupModel
import DaemonConfiguration
import Jobs
import Monitoring

/// From the configuration's words to what the monitor watches.
enum MonitorTranslation {
  /// - Parameter jobs: As they run.
  static func plan(of configuration: Configuration, jobs: JobSet) -> MonitorPlan {
    var plan = MonitorPlan(settings: MonitorSettings(configuration.monitoring))
    plan.clusters = configuration.clusters.compactMap { cluster in
      guard let connection = jobs.retention[cluster.id]?.connection else { return nil }
      let wal = jobs.wal.first { $0.cluster == cluster.id && $0.streams }
      return MonitorPlan.Cluster(id: cluster.id, connection: connection, slot: wal?.slot)
    }
    plan.jobs = jobs.jobs.map { job in
      MonitoredJob(
        id: job.id, kind: job.kind, cluster: job.cluster, timetable: job.timetable, deadline: job.deadline,
        makes: configuration.job(job.id)?.backupClass, promisedCount: configuration.job(job.id)?.promisedCount)
    }
    plan.directories = directories(of: configuration)
    return plan
  }

  private static func directories(of configuration: Configuration) -> [MonitorPlan.Directory] {
    let state = MonitorPlan.Directory(
      name: "state", path: configuration.daemon.stateDirectory, use: "the state directory")
    let stores = configuration.repository.stores.compactMap { store in
      store.path.map { MonitorPlan.Directory(name: "store:\(store.id)", path: $0, use: "store \"\(store.id)\" at") }
    }
    let servers = configuration.clusters.compactMap { cluster in
      cluster.dataDirectory.map {
        MonitorPlan.Directory(
          name: "wal:\(cluster.id)", path: $0 + "/pg_wal", use: "the WAL of cluster \"\(cluster.id)\" in")
      }
    }
    return [state] + stores + servers
  }
}

extension MonitorSettings {
  fileprivate init(_ settings: MonitoringSettings) {
    let ages: [BackupClass: Duration?] = [
      .physical: settings.physicalAge, .logical: settings.logicalAge, .tables: settings.tablesAge,
    ]
    self.init(
      interval: settings.interval, grace: settings.grace, ages: ages.compactMapValues { $0 },
      sizeDropPercent: settings.sizeDropPercent, lagLimit: settings.lagLimit, clockSkew: settings.clockSkew,
      diskForecast: settings.diskForecast)
  }
}

extension JobSettings {
  /// Nil for jobs that make no backups.
  fileprivate var backupClass: BackupClass? {
    switch kind {
    case .physical: .physical
    case .logical(let settings): settings.tables.isEmpty ? .logical : .tables
    case .wal, .copy, .drill, .check: nil
    }
  }

  /// So many of its newest backups stay whatever their age; nil where no number is promised.
  fileprivate var promisedCount: Int? {
    let keep: RetentionPolicy? =
      switch kind {
      case .physical(let settings): settings.keep
      case .logical(let settings): settings.keep
      case .wal, .copy, .drill, .check: nil
      }
    return keep.flatMap { $0.count ?? ($0.spanSeconds == nil ? nil : $0.atLeast) }
  }
}
