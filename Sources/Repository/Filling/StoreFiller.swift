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
    for plan in plans {
      try copy(plan.documents, progress, cancellation)
      try copy(plan.contents, progress, cancellation)
      try copy(plan.manifests, progress, cancellation)
    }
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
    let now = now()
    let youngest = target.durability == .required ? now - Self.courtesy : now + .seconds(86400)
    return try sources.clusters().flatMap { cluster in
      try sources.lineages(of: cluster).map { lineage in
        try FillPlan(
          lineage, from: sources, to: target, rules: rules[cluster], youngest: youngest, now: now)
      }
    }
  }

  private func copy(_ objects: [FillPlan.Object], _ progress: Progress, _ cancellation: Cancellation) throws {
    if objects.isEmpty { return }
    let next = Atomic<Int>(0)
    let work: @Sendable () throws -> Void = {
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < objects.count else { return }
        try cancellation.check()
        try copy(objects[index], cancellation)
        progress.done(objects[index])
      }
    }
    let bodies = Array(repeating: work, count: min(Self.lanes, objects.count))
    try runTogether(cancellation, label: "fill.\(target.id)", bodies)
  }

  /// From the first store that has it whole.
  private func copy(_ object: FillPlan.Object, _ cancellation: Cancellation) throws {
    do {
      let bytes = try sources.firstAnswer(for: object.name) { store in
        let bytes = try store.objects.readAll(object.name)
        if let kind = object.kind { try Self.check(bytes, kind, object.name, in: store, keys: repository.keys) }
        return bytes
      }
      try bytes.withUnsafeBytes {
        try StoreWriter.put(object.name, $0, in: target, cancellation: cancellation)
      }
    } catch let error as StorageError where error.isMissing {
      // A prune took it meanwhile; what refers to it is gone too, or the next plan says what is wrong.
      if object.kind == .manifest { return }
      if object.kind == nil { return }
      throw error
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
        lag.objects -= 1
        lag.bytes -= object.size
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
