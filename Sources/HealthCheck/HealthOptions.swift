public import BackupModel

/// What a health check restores, where, and what it looks at.
public struct HealthOptions: Sendable, Hashable {
  public var job: JobID
  public var cluster: ClusterID
  /// libpq's for the cluster's server, the password with it.
  public var connection: Secret
  /// The server that gets the scratch database; nil is the cluster's own.
  public var scratchServer: Secret?
  /// Whether the newest dump is restored; without it the checks are run on the cluster's own database.
  public var restores = true
  /// A dump of this job; nil takes the newest that can be restored alone.
  public var dumpJob: JobID?
  /// A larger dump is not restored.
  public var sizeLimit: ByteCount?
  /// The operator's checks, an SQL file.
  public var checks: String?
  public var checkTimeout: Duration = .seconds(300)
  /// Where `pg_restore` of the right major version is; nil looks in the usual places.
  public var programs: String?
  /// The daemon's notes of scratch databases, a directory for each job: what a crash leaves behind is found there.
  public var registry: String

  public init(job: JobID, cluster: ClusterID, connection: Secret, registry: String) {
    self.job = job
    self.cluster = cluster
    self.connection = connection
    self.registry = registry
  }
}

/// What a health check has found so far.
public struct HealthReport: Sendable, Hashable {
  /// The dump that was restored.
  public var backup: BackupID?
  public var totalBytes: ByteCount?
  public var phases: [RunPhase] = []
  public var checks: [CheckResult] = []
  public var warnings: [String] = []
}
