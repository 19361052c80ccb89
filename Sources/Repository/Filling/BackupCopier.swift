public import BackupModel
public import BlockingWork
internal import Storage

/// Copies the newest physical backup of a cluster, with all that it needs to be restored alone, into an on-copy store.
///
/// May be repeated, also after a crash: what is there is not copied again, and the manifest comes last.
public struct BackupCopier: Sendable {
  public struct Result: Sendable {
    public var backup: BackupID
    /// Copied by this run; none where it was there already.
    public var objects: Int
    public var bytes: ByteCount
    /// Newer backups that were passed over, since not all of their WAL is complete yet.
    public var passedOver: [BackupID]
  }

  private let repository: Repository
  private let target: RepositoryStore
  private let alone: Repository
  private let cluster: ClusterID

  /// - Returns: Nil where the repository has no such on-copy store.
  public init?(_ repository: Repository, to store: StoreID, of cluster: ClusterID) {
    guard let target = repository.archives.first(where: { $0.id == store }), let alone = repository.alone(in: store)
    else { return nil }
    self.repository = repository
    self.target = target
    self.alone = alone
    self.cluster = cluster
  }

  /// - Parameter observe: Called from several threads with the bytes that were copied.
  /// - Throws: ``CopyError``, ``RetentionError/anotherPrune(_:since:)``, `RepositoryError`, `StorageError`,
  ///   `CancellationError`.
  public func run(
    cancellation: Cancellation, observe: @escaping @Sendable (RunProgress) -> Void
  ) throws -> Result {
    try checkRoot()
    try copyKeys(cancellation)
    guard let lineage = try repository.lineages(of: cluster).last else { throw CopyError.noBackup(cluster) }
    // Two leases: no prune takes away what is read here, and none there what the manifest will lean on.
    let reading = try Lease(.restore, repository, lineage, cancellation: cancellation)
    defer { reading.release() }
    let writing = try Lease(.backup, alone, lineage, cancellation: cancellation)
    defer { writing.release() }
    if let prune = try Lease.list(alone, lineage, at: .now()).live.first(where: { $0.purpose == .prune }) {
      throw RetentionError.anotherPrune(target.id, since: prune.taken)
    }
    do {
      return try copy(lineage, cancellation, observe)
    } catch let error as CancellationError {
      try reading.check()
      try writing.check()
      throw error
    }
  }

  private func copy(
    _ lineage: Lineage, _ cancellation: Cancellation, _ observe: @escaping @Sendable (RunProgress) -> Void
  ) throws -> Result {
    let (backup, passedOver) = try newest(lineage)
    let plan = try FillPlan(copying: backup, of: lineage, from: repository, to: target)
    let total = plan.all.reduce(0) { $0 + $1.size }
    let progress = FillProgress(plan.all) { lag in
      observe(RunProgress(phase: "copy", doneBytes: ByteCount(total - lag.bytes), totalBytes: ByteCount(total)))
    }
    try ObjectCopier(from: repository, to: target).copy(plan, progress, cancellation)
    guard try target.objects.size(of: lineage.manifest(backup.id)) != nil else {
      throw StorageError.missing(lineage.manifest(backup.id), in: target.objects.location)
    }
    return Result(
      backup: backup.id, objects: plan.all.count, bytes: ByteCount(total), passedOver: passedOver)
  }

  /// The newest whose WAL is complete: slices of an open segment are never copied.
  private func newest(_ lineage: Lineage) throws -> (Backup, passedOver: [BackupID]) {
    let backups = try BackupCatalog(repository).list(lineage).backups.filter {
      $0.kind == .physical && $0.deleted == nil
    }
    guard let last = backups.last else { throw CopyError.noBackup(cluster) }
    let wal = try WALCatalog(repository, lineage)
    var passedOver: [BackupID] = []
    for backup in backups.reversed() {
      let segments = WALSegment.all(
        from: backup.startLSN, to: backup.stopLSN, on: backup.timeline, size: wal.segmentSize)
      if segments.allSatisfy({ wal.piece($0)?.full.isEmpty == false }) { return (backup, passedOver) }
      passedOver.append(backup.id)
    }
    throw CopyError.walIncomplete(last.id, from: last.startLSN, to: last.stopLSN)
  }

  /// An empty directory may be the mount point of a disk that is away, and a bucket may be another repository's.
  private func checkRoot() throws {
    do {
      let root = try Repository.readRoot(target)
      guard root.repository == repository.id else {
        throw RepositoryError.differentRepositories(
          repository.stores[0].id, repository.id, target.id, root.repository)
      }
    } catch let error as StorageError where error.isMissing {
      throw RepositoryError.missingRepository(stores: [target.id])
    }
  }

  /// Recipients that were added since the store was made part of the repository open it, too.
  private func copyKeys(_ cancellation: Cancellation) throws {
    for (name, bytes) in try repository.usableEnvelopes() where try target.objects.size(of: name) == nil {
      try bytes.withUnsafeBytes { try StoreWriter.put(name, $0, in: target, cancellation: cancellation) }
    }
  }
}

/// A backup could not be copied.
public enum CopyError: OperatorError {
  case noBackup(ClusterID)
  case walIncomplete(BackupID, from: LSN, to: LSN)
  case noStore(StoreID)

  public var summary: String {
    switch self {
    case .noBackup(let cluster): "could not find a backup of cluster \"\(cluster)\" to copy"
    case .walIncomplete(let backup, _, _): "could not copy backup \"\(backup)\""
    case .noStore(let store): "could not copy to store \"\(store)\""
    }
  }
  public var detail: String? {
    switch self {
    case .noBackup: "The repository holds no physical backup that is not deleted."
    case .walIncomplete(_, let from, let to):
      "Not all of its WAL, from \(from) to \(to), lies in whole segments yet; parts of a segment are not copied."
    case .noStore: "It is not an on-copy store of the repository as it was opened."
    }
  }
  public var hint: String? {
    switch self {
    case .noBackup: "Run a job of kind physical first: \"backupctl jobs\" lists them."
    case .walIncomplete: "Run \"select pg_switch_wal()\" on the server, then the job again."
    case .noStore: "Run \"backupctl reload\", or see \"backupctl config check\"."
    }
  }
}

extension WALSegment {
  /// The segments that hold a stretch of one timeline.
  static func all(
    from start: LSN, to end: LSN, on timeline: TimelineID, size: WALSegmentSize
  ) -> [WALSegment] {
    var segments: [WALSegment] = []
    var segment = WALSegment(timeline: timeline, holding: start, size: size)
    while segment.start(size: size) < end {
      segments.append(segment)
      segment = segment.next
    }
    return segments
  }
}
