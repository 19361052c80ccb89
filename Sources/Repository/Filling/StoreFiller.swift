public import BackupModel
public import BlockingWork
internal import Storage

/// How far a store is behind the others.
public struct StoreLag: Sendable, Hashable {
  public var objects = 0
  public var bytes: Int64 = 0
  /// When another store got the first of what is missing.
  public var since: Timestamp?
  public init() {}
}

/// Brings one store what it lacks of what the others hold: an eventual one always, a required one after it was away.
///
/// The queue is the difference between the stores' listings: nothing of it can be lost, and a store that is added later
/// is filled like one that lags. A manifest comes after everything it refers to.
public struct StoreFiller: Sendable {
  /// How a pass ended that nothing stopped.
  public enum Outcome: Sendable, Hashable {
    /// The store has all that it is to have.
    case whole
    /// Something is left to who is about to put it there, or until a prune is over.
    case waits
  }

  /// What was read from one store since another had it damaged, or lacked it.
  public let reads = ReadLog()
  private let sources: Repository
  private let repository: Repository
  private let target: RepositoryStore
  private let rules: [ClusterID: RetentionRules]
  private let memory: FillMemory
  private let now: @Sendable () -> Timestamp
  /// Whoever writes to a required store is given so long to do it himself.
  private static let courtesy: Duration = .seconds(60)

  /// - Parameters:
  ///   - rules: What jobs promise, by cluster; for a store with a `keep` of its own.
  ///   - memory: Shared by the fillers of a repository's stores.
  /// - Returns: Nil where there is no other store to fill it from.
  public init?(
    _ repository: Repository, _ store: StoreID, rules: [ClusterID: RetentionRules], memory: FillMemory = FillMemory(),
    now: @escaping @Sendable () -> Timestamp = { .now() }
  ) {
    guard let target = repository.stores.first(where: { $0.id == store }), repository.stores.count > 1 else {
      return nil
    }
    self.repository = repository
    self.target = target
    self.rules = rules
    self.memory = memory
    self.now = now
    sources = repository.without([store]).noting(in: reads)
  }

  /// Copies what is missing, and replaces what is damaged.
  /// - Parameter observe: Told what is still missing, at the beginning and after each object.
  /// - Throws: ``RepositoryError/missingRepository(stores:)`` where the store is none of this repository, `StorageError`,
  ///   `CancellationError`.
  @discardableResult
  public func fill(cancellation: Cancellation, observe: @escaping @Sendable (StoreLag) -> Void) throws -> Outcome {
    try checkRoot()
    let plans = try plan()
    let progress = FillProgress(plans.flatMap(\.all), observe)
    var failure: (any Error)?
    var outcome = Outcome.whole
    // What one lineage lacks everywhere holds up no other.
    for plan in plans {
      do {
        if try fill(plan, progress, cancellation) == .waits { outcome = .waits }
      } catch let error where error is StorageError || error is RepositoryError {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
    // A prune took something meanwhile: what is missing is not what was counted.
    return progress.lag.objects > 0 ? .waits : outcome
  }

  private func fill(_ plan: FillPlan, _ progress: FillProgress, _ cancellation: Cancellation) throws -> Outcome {
    if plan.manifests.isEmpty { return try copy(plan, progress, cancellation) }
    // A manifest leans on what the store holds already: no prune may take that away meanwhile. Each of the two takes its
    // lease first and looks for the other's then, so one of them sees it and waits.
    let lease = try Lease(.backup, repository, plan.lineage, cancellation: cancellation)
    defer { lease.release() }
    let live = try Lease.list(repository, plan.lineage, at: now()).live
    if live.contains(where: { $0.purpose == .prune }) { return .waits }
    let outcome = try copy(makePlan(plan.lineage), progress, cancellation)
    try lease.check()
    return outcome
  }

  private func copy(_ plan: FillPlan, _ progress: FillProgress, _ cancellation: Cancellation) throws -> Outcome {
    try ObjectCopier(from: sources, to: target, memory: memory, now: now).copy(plan, progress, cancellation)
    return plan.isYoung ? .waits : .whole
  }

  /// What is missing now.
  public func lag() throws -> StoreLag { FillProgress(try plan().flatMap(\.all)) { _ in }.lag }

  /// An empty directory may be the mount point of a disk that is away.
  private func checkRoot() throws {
    guard try target.objects.size(of: Repository.rootName) != nil else {
      throw RepositoryError.missingRepository(stores: [target.id])
    }
  }

  private func plan() throws -> [FillPlan] {
    try sources.clusters().flatMap { cluster in try sources.lineages(of: cluster).map { try makePlan($0) } }
  }

  private func makePlan(_ lineage: Lineage) throws -> FillPlan {
    let now = now()
    let youngest = target.durability == .required ? now - Self.courtesy : now + .seconds(86400)
    return try FillPlan(
      lineage, from: sources, to: target, rules: rules[lineage.cluster], memory: memory, youngest: youngest, now: now)
  }
}
