public import BackupModel

/// What a drill restores, where, and what it looks at.
public struct DrillOptions: Sendable, Hashable {
  public enum Pick: String, Sendable, Hashable { case newest, random }
  public enum Target: String, Sendable, Hashable { case latest, random }

  public var job: JobID
  public var cluster: ClusterID
  public var pick = Pick.newest
  public var target = Target.latest
  /// Restore from this store alone; nil takes whatever answers.
  public var store: StoreID?
  /// The daemon's list of scratch directories in use, one entry a job: what is left behind is found there.
  public var registry: String
  /// Where the scratch directory is made; nil puts it into the registry.
  public var scratch: String?
  /// Where `postgres` and `pg_amcheck` of the right major version are; nil looks in the usual places.
  public var binDirectory: String?
  /// What the scratch server preloads: nothing, unless replay cannot do without.
  public var preloadedLibraries = ""
  /// The operator's checks, an SQL file.
  public var checks: String?
  public var checkTimeout: Duration = .seconds(300)
  public var runsAmcheck = true
  /// How often a heartbeat is written to the original; nil where none is.
  public var heartbeatInterval: Duration?
  /// libpq's for the original server, of which only the names of user and database count. It is never connected to.
  public var connection: Secret
  public var workers = 2
  public var fetch: FetchCommand

  public init(
    job: JobID, cluster: ClusterID, registry: String, connection: Secret, fetch: FetchCommand
  ) {
    self.job = job
    self.cluster = cluster
    self.registry = registry
    self.connection = connection
    self.fetch = fetch
  }

  /// What the whole drill works in.
  var directory: String { scratch.map { "\($0)/backupd-drill-\(job)" } ?? "\(registry)/\(job)" }
}

/// What a drill has found so far.
public struct DrillReport: Sendable, Hashable {
  public var backup: BackupID?
  public var record: DrillRecord?
  public var totalBytes: ByteCount?
  public var phases: [RunPhase] = []
  public var checks: [CheckResult] = []
  public var warnings: [String] = []
}
