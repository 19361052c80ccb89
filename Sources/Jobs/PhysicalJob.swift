public import BackupModel
internal import BackupPipeline
internal import BlockingWork
internal import Logging
internal import Repository
internal import WALArchiving

/// Where the files come from: over the replication protocol, or read in place.
public enum BackupSourceChoice: String, Sendable, Hashable { case auto, stream, direct }

public enum BackupCheckpoint: Sendable, Hashable { case fast, spread }

/// Takes physical backups of one cluster.
public struct PhysicalJob: JobBody, Hashable {
  public var cluster: ClusterID
  /// libpq's, the password with it.
  public var connection: Secret
  /// Where the WAL comes from while the cluster has no job for it; differs where backups are a standby's.
  public var walConnection: Secret
  public var checkpoint: BackupCheckpoint
  /// Threads that compress and seal.
  public var workers: Int
  public var maximumRate: ByteCount?
  /// Store every page anew.
  public var full: Bool
  public var source: BackupSourceChoice
  /// The server's data directory on this host.
  public var dataDirectory: String?
  /// zstd's.
  public var compressionLevel: Int
  /// Everything else on the host comes first.
  public var isIdle: Bool

  public init(
    cluster: ClusterID, connection: Secret, walConnection: Secret? = nil, checkpoint: BackupCheckpoint = .fast,
    workers: Int, maximumRate: ByteCount? = nil, full: Bool = false, source: BackupSourceChoice = .auto,
    dataDirectory: String? = nil, compressionLevel: Int = 1, isIdle: Bool = false
  ) {
    self.cluster = cluster
    self.connection = connection
    self.walConnection = walConnection ?? connection
    self.checkpoint = checkpoint
    self.workers = workers
    self.maximumRate = maximumRate
    self.full = full
    self.source = source
    self.dataDirectory = dataDirectory
    self.compressionLevel = compressionLevel
    self.isIdle = isIdle
  }

  public var isExclusive: Bool { true }

  /// One that stores everything anew guards against rotten packs, which one that takes over pages does not.
  public func accepts(_ other: any JobBody) -> Bool {
    guard let other = other as? PhysicalJob else { return false }
    return !full || other.full
  }

  public func attempt(_ context: RunContext) async throws -> RunResult {
    let run = context.run
    let proof: any WALProof =
      context.archiver.map { ArchiverProof($0, cluster: cluster) } ?? temporaryProof(context)
    let pipeline = BaseBackupPipeline(
      .init(
        cluster: cluster, connection: connection.revealText(), job: run.job.id, run: run.id, workers: workers,
        checkpoint: checkpoint == .fast ? .fast : .spread, compressionLevel: compressionLevel,
        maximumRate: maximumRate, fingerprintDirectory: context.stateDirectory + "/fingerprints/\(cluster)", full: full,
        source: .init(rawValue: source.rawValue) ?? .auto, dataDirectory: dataDirectory, isIdle: isIdle),
      repository: context.repository, wal: proof, observe: { run.progress($0) },
      notice: { [logger = context.logger, cluster] in
        logger.notice("server says: \($0.summary)", metadata: ["run": "\(run.id)", "cluster": "\(cluster)"])
      })
    let result = try await context.blocking { try pipeline.run(cancellation: $0) }
    return run.record(
      result.backup, phases: result.phases, warnings: result.warnings, failures: result.failures)
  }

  /// A cluster without a wal job: the run receives its own WAL.
  private func temporaryProof(_ context: RunContext) -> TemporaryArchiverProof {
    let archiver = WALArchiver(
      .init(
        cluster: cluster, connection: walConnection.revealText(), slot: temporarySlot(context.run.id),
        slotLifetime: .temporary, landingDirectory: context.stateDirectory + "/wal-temporary/\(cluster)"),
      repository: context.repository)
    return TemporaryArchiverProof(archiver, cluster: cluster)
  }

  /// Of this run alone: a temporary slot of a connection that died may still be there for a while.
  private func temporarySlot(_ run: RunID) -> String {
    let name = WALArchiver.Options.defaultSlot(of: cluster)
    return String(name.prefix(54)) + "_" + run.text.suffix(8)
  }
}
