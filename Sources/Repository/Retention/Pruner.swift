public import BackupModel
public import BlockingWork
internal import Storage

/// Removes what no promise keeps: backups by their jobs' `keep`, what only they needed, and the WAL nobody can replay.
///
/// Every step can be repeated, and each leaves nothing that is referred to missing: a prune that is killed is finished
/// by the next one. Order in a store: tombstone; 24 hours later, and behind every lease that is older, the manifest;
/// then packs that no manifest and no checkpoint refers to, by what is read right before; then WAL.
public struct Pruner: Sendable {
  public struct Options: Sendable {
    public var rules: RetentionRules
    /// Only says what it would do.
    public var dryRun: Bool
    public var now: @Sendable () -> Timestamp
    public init(
      rules: RetentionRules, dryRun: Bool = false, now: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
      self.rules = rules
      self.dryRun = dryRun
      self.now = now
    }
  }

  /// How long a deleted backup can be brought back.
  public static let grace: Duration = .seconds(24 * 3600)
  /// Packs that nothing refers to may be those of a run that goes on, so long.
  public static let youth: Duration = .seconds(48 * 3600)
  /// What a run left that never ended is given up after this.
  static let checkpointLife: Duration = .seconds(7 * 24 * 3600)
  /// Clocks may differ so much.
  static let clockTolerance: Duration = .seconds(600)

  let repository: Repository
  let cluster: ClusterID
  let options: Options

  public init(repository: Repository, cluster: ClusterID, options: Options) {
    self.repository = repository
    self.cluster = cluster
    self.options = options
  }

  /// Prunes every lineage of the cluster in every store.
  ///
  /// - Returns: A report for each lineage and store; one that was refused has an error and hinders no other.
  /// - Throws: `StorageError` where the stores cannot be listed at all; `CancellationError`.
  public func run(cancellation: Cancellation) throws -> [PruneReport] {
    var reports: [PruneReport] = []
    for lineage in try repository.lineages(of: cluster) {
      reports += try prune(lineage, cancellation)
    }
    return reports
  }

  /// Prunes the on-copy stores, each by what the job that copies there keeps. One that does not answer hinders no other.
  /// - Parameter rules: By store.
  public static func runArchives(
    of repository: Repository, _ cluster: ClusterID, rules: [StoreID: RetentionRules], dryRun: Bool = false,
    now: @escaping @Sendable () -> Timestamp = { .now() }, cancellation: Cancellation
  ) throws -> [PruneReport] {
    var reports: [PruneReport] = []
    for (store, rules) in rules.sorted(by: { $0.key < $1.key }) {
      guard let alone = repository.alone(in: store) else { continue }
      let pruner = Pruner(
        repository: alone, cluster: cluster, options: Options(rules: rules, dryRun: dryRun, now: now))
      do {
        reports += try pruner.run(cancellation: cancellation)
      } catch let error as StorageError {
        guard let lineage = try repository.lineages(of: cluster).last else { throw error }
        var report = PruneReport(lineage, store)
        report.error = ErrorReport(error)
        reports.append(report)
      }
    }
    return reports
  }

  private func prune(_ lineage: Lineage, _ cancellation: Cancellation) throws -> [PruneReport] {
    var lease: Lease?
    defer { lease?.release() }
    do {
      if !options.dryRun { lease = try hold(lineage, cancellation) }
      let run = try PruneRun(self, lineage, lease: lease, cancellation)
      return try run.perform()
    } catch let error as CancellationError {
      try lease?.check()
      throw error
    } catch {
      return repository.stores.map { store in
        var report = PruneReport(lineage, store.id)
        report.error = ErrorReport(error)
        return report
      }
    }
  }

  /// Takes a lease, which keeps a second prune away and shows what the stores' clocks say.
  private func hold(_ lineage: Lineage, _ cancellation: Cancellation) throws -> Lease {
    let lease = try Lease(.prune, repository, lineage, cancellation: cancellation, now: options.now)
    do {
      let name = lease.holder.description
      let others = try Lease.list(repository, lineage, at: options.now()).live
      if let other = others.first(where: { $0.purpose == .prune && $0.holder != name }) {
        throw RetentionError.anotherPrune(other.store, since: other.taken)
      }
      for store in repository.required {
        let objects = try store.objects.list(below: lineage.leasesPrefix + "/" + name).objects
        guard let written = objects.compactMap(\.modified).max() else { continue }
        let difference = options.now() - written
        if difference.magnitude > Self.clockTolerance {
          throw RetentionError.clockDiffers(of: "store \"\(store.id)\"", by: difference)
        }
      }
      return lease
    } catch {
      lease.release()
      throw error
    }
  }
}
