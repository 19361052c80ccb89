public import BackupModel
public import LogicalBackup

/// Takes dumps of one database, or of some of its tables.
public struct LogicalJob: JobBody, Hashable {
  public var cluster: ClusterID
  /// libpq's, the password with it.
  public var connection: Secret
  public var dump: DumpOptions
  /// Threads that compress and seal.
  public var workers: Int
  /// zstd's.
  public var compressionLevel: Int
  /// Store everything anew.
  public var full: Bool
  /// Where the server's programs are; nil looks in the usual places.
  public var programs: String?

  public init(
    cluster: ClusterID, connection: Secret, dump: DumpOptions, workers: Int, compressionLevel: Int = 1,
    full: Bool = false, programs: String? = nil
  ) {
    self.cluster = cluster
    self.connection = connection
    self.dump = dump
    self.workers = workers
    self.compressionLevel = compressionLevel
    self.full = full
    self.programs = programs
  }

  /// A dump of five minutes does not wait for a physical backup of hours.
  public var isExclusive: Bool { false }
  public func accepts(_ other: any JobBody) -> Bool { false }

  public func attempt(_ context: RunContext) async throws -> RunResult {
    let run = context.run
    let pipeline = DumpPipeline(
      .init(
        cluster: cluster, connection: connection, job: run.job.id, run: run.id, dump: dump, workers: workers,
        compressionLevel: compressionLevel, programs: programs,
        pieceDirectory: context.stateDirectory + "/pieces/\(cluster)/\(run.job.id)", full: full),
      repository: context.repository, observe: { run.progress($0) })
    let result = try await context.blocking { try pipeline.run(cancellation: $0) }
    return run.record(
      result.backup, phases: result.phases, warnings: result.warnings, failures: result.failures)
  }
}

extension LiveRun {
  /// Notes what an attempt made.
  func record(
    _ backup: Backup, phases: [RunPhase], warnings: [ErrorReport], failures: [StoreID: ErrorReport]
  ) -> RunResult {
    change {
      $0.backup = backup.id
      $0.totalBytes = backup.totalBytes
      $0.newBytes = backup.newBytes
      $0.storedBytes = backup.storedBytes
      $0.phases = phases
      $0.warnings += warnings.map { $0.summary + ($0.detail.map { ": \($0)" } ?? "") }
    }
    if backup.missingStores.isEmpty { return RunResult(backup: backup.id) }
    // Another run must not take over what lacks a store.
    return RunResult(incomplete: ErrorReport(JobsError.storesMissing(backup.id, failures)))
  }
}
