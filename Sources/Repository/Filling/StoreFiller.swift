public import BackupModel
public import BlockingWork
internal import Storage
import Synchronization

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
  private let sources: Repository
  private let repository: Repository
  private let target: RepositoryStore
  private let rules: [ClusterID: RetentionRules]
  private let now: @Sendable () -> Timestamp
  private static let lanes = 4
  /// Whoever writes to a required store is given so long to do it himself.
  private static let courtesy: Duration = .seconds(60)

  /// - Parameter rules: What jobs promise, by cluster; for a store with a `keep` of its own.
  /// - Returns: Nil where there is no other store to fill it from.
  public init?(
    _ repository: Repository, _ store: StoreID, rules: [ClusterID: RetentionRules],
    now: @escaping @Sendable () -> Timestamp = { .now() }
  ) {
    guard let target = repository.stores.first(where: { $0.id == store }), repository.stores.count > 1 else {
      return nil
    }
    self.repository = repository
    self.target = target
    self.rules = rules
    self.now = now
    sources = repository.without([store])
  }

  /// Copies what is missing.
  /// - Parameter observe: Told what is still missing, at the beginning and after each object.
  /// - Throws: ``RepositoryError/missingRepository(stores:)`` where the store is none of this repository, `StorageError`,
  ///   `CancellationError`.
  public func fill(cancellation: Cancellation, observe: @escaping @Sendable (StoreLag) -> Void) throws {
    try checkRoot()
    let plans = try plan()
    let progress = Progress(plans.flatMap(\.all), observe)
    var failure: (any Error)?
    // What one lineage lacks everywhere holds up no other.
    for plan in plans {
      do {
        try fill(plan, progress, cancellation)
      } catch let error where error is StorageError || error is RepositoryError {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
  }

  private func fill(_ plan: FillPlan, _ progress: Progress, _ cancellation: Cancellation) throws {
    if plan.manifests.isEmpty { return try copy(plan, progress, cancellation) }
    // A manifest leans on what the store holds already: no prune may take that away meanwhile. Each of the two takes its
    // lease first and looks for the other's then, so one of them sees it and waits.
    let lease = try Lease(.backup, repository, plan.lineage, cancellation: cancellation)
    defer { lease.release() }
    let live = try Lease.list(repository, plan.lineage, at: now()).live
    if live.contains(where: { $0.purpose == .prune }) { return }
    try copy(makePlan(plan.lineage), progress, cancellation)
    try lease.check()
  }

  private func copy(_ plan: FillPlan, _ progress: Progress, _ cancellation: Cancellation) throws {
    var lost = try copy(plan.documents, progress, cancellation)
    lost.merge(try copy(plan.contents, progress, cancellation)) { $1 }
    let whole = plan.manifests.filter { $0.needs.isDisjoint(with: lost.keys) }
    let unlocked = try extendLocks(whole, cancellation)
    lost.merge(try copy(whole, progress, cancellation)) { $1 }
    if let error = plan.failure ?? lost.min(by: { $0.key < $1.key })?.value { throw error }
    if let unlocked { throw unlocked }
  }

  /// What manifests will lean on that the store had already; what is copied is locked by that.
  private func extendLocks(_ manifests: [FillPlan.Object], _ cancellation: Cancellation) throws -> RepositoryError? {
    guard !manifests.isEmpty, let locks = LockExtension(target, now: now()) else { return nil }
    let held = manifests.reduce(into: Set(try repository.commonNames(in: target))) { $0.formUnion($1.held) }
    return try locks.extend(held, cancellation)
  }

  /// What is missing now.
  public func lag() throws -> StoreLag { Progress(try plan().flatMap(\.all)) { _ in }.lag }

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
      lineage, from: sources, to: target, rules: rules[lineage.cluster], youngest: youngest, now: now)
  }

  /// - Returns: What no other store has whole, and why.
  /// - Throws: `StorageError` where the store does not take it, `CancellationError`.
  private func copy(
    _ objects: [FillPlan.Object], _ progress: Progress, _ cancellation: Cancellation
  ) throws -> [ObjectName: any Error] {
    if objects.isEmpty { return [:] }
    let next = Atomic<Int>(0)
    let lost = Mutex<[ObjectName: any Error]>([:])
    let work: @Sendable () throws -> Void = {
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < objects.count else { return }
        try cancellation.check()
        let object = objects[index]
        let bytes: [UInt8]
        do {
          bytes = try read(object)
        } catch let error as StorageError where error.isMissing && [nil, .manifest].contains(object.kind) {
          // A prune took it meanwhile.
          continue
        } catch let error where error is StorageError || error is RepositoryError {
          lost.withLock { $0[object.name] = error }
          continue
        }
        try bytes.withUnsafeBytes {
          try StoreWriter.put(object.name, $0, in: target, cancellation: cancellation)
        }
        progress.done(object)
      }
    }
    let bodies = Array(repeating: work, count: min(Self.lanes, objects.count))
    try runTogether(cancellation, label: "fill.\(target.id)", bodies)
    return lost.withLock { $0 }
  }

  /// From the first store that has it whole.
  private func read(_ object: FillPlan.Object) throws -> [UInt8] {
    try sources.firstAnswer(for: object.name) { store in
      let bytes = try store.objects.readAll(object.name)
      if let kind = object.kind { try Self.check(bytes, kind, object.name, in: store, keys: repository.keys) }
      return bytes
    }
  }

  /// Opens every frame: damage is never copied.
  private static func check(
    _ bytes: [UInt8], _ kind: ObjectKind, _ name: ObjectName, in store: RepositoryStore, keys: KeyRing
  ) throws {
    let memory = RepositoryStore(id: store.id, objects: SingleObject(name: name, bytes: bytes))
    let reader = try SealedObjectReader(kind, name, in: memory, keys: keys)
    for frame in reader.frames { _ = try reader.read(frame) }
  }

  /// What is left, told as it shrinks.
  private final class Progress: Sendable {
    private let left: Mutex<StoreLag>
    private let observe: @Sendable (StoreLag) -> Void

    init(_ objects: [FillPlan.Object], _ observe: @escaping @Sendable (StoreLag) -> Void) {
      var lag = StoreLag()
      lag.objects = objects.count
      lag.bytes = objects.reduce(0) { $0 + $1.size }
      lag.since = objects.compactMap(\.written).min()
      left = Mutex(lag)
      self.observe = observe
      observe(lag)
    }

    var lag: StoreLag { left.withLock { $0 } }

    func done(_ object: FillPlan.Object) {
      let lag = left.withLock { lag -> StoreLag in
        // What came since it was counted is counted the next time.
        lag.objects = max(0, lag.objects - 1)
        lag.bytes = max(0, lag.bytes - object.size)
        if lag.objects == 0 { lag.since = nil }
        return lag
      }
      observe(lag)
    }
  }
}

/// One object in memory, to be opened as if it lay in a store.
private struct SingleObject: ObjectStore {
  let name: ObjectName
  let bytes: [UInt8]
  var location: String { "memory" }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    throw StorageError.alreadyExists(name, in: location)
  }
  func size(of name: ObjectName) throws -> Int64? { name == self.name ? Int64(bytes.count) : nil }
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    let end = Int(offset) + buffer.count
    guard end <= bytes.count else {
      throw StorageError.truncated(name, in: location, expected: Int64(end), found: Int64(bytes.count))
    }
    bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<end])) }
  }
  func list(below prefix: String) throws -> Listing { Listing() }
  func delete(_ name: ObjectName) throws {}
}
