import BackupModel
import DaemonConfiguration
import Glibc
import Jobs
import Recovery
import Systemd

extension JobTranslation {
  /// - Throws: ``DaemonError/ownDirectoryUnknown``.
  static func drill(
    _ settings: DrillSettings, _ job: JobSettings, _ configuration: Configuration, connection: Secret,
    credentials: Credentials
  ) throws -> DrillJob {
    var options = DrillOptions(
      job: job.id, cluster: job.cluster,
      registry: JobRunner.drillRegistry(in: configuration.daemon.stateDirectory), connection: connection,
      fetch: FetchCommand(
        executable: try ownDirectory() + "/backupd-wal", configuration: configuration.path,
        credentialFiles: credentials.files))
    options.pick = DrillOptions.Pick(rawValue: settings.pick.rawValue) ?? .newest
    options.target = DrillOptions.Target(rawValue: settings.target.rawValue) ?? .latest
    options.store = settings.store
    options.scratch = settings.scratch
    options.binDirectory = settings.programs ?? configuration.cluster(job.cluster)?.programs
    options.preloadedLibraries = settings.preload ?? ""
    options.checks = settings.checks
    options.checkTimeout = settings.checkTimeout
    options.runsAmcheck = settings.amcheck
    options.heartbeatInterval = beats(configuration, job.cluster) ? DrillJob.heartbeatInterval : nil
    options.workers = configuration.daemon.workers
    return DrillJob(options)
  }

  private static func beats(_ configuration: Configuration, _ cluster: ClusterID) -> Bool {
    configuration.jobs.contains { job in
      if case .wal(let wal) = job.kind { job.cluster == cluster && wal.heartbeat } else { false }
    }
  }

  /// Where this program lies, and backupd-wal beside it.
  private static func ownDirectory() throws -> String {
    guard let path = realpath("/proc/self/exe", nil) else { throw DaemonError.ownDirectoryUnknown }
    defer { free(path) }
    let text = String(cString: path)
    guard let slash = text.lastIndex(of: "/") else { throw DaemonError.ownDirectoryUnknown }
    return String(text[..<slash])
  }
}
