internal import BackupModel
internal import BlockingWork
internal import Storage
import Synchronization

/// Copies objects byte for byte into one store, each from the first of the others that has it whole.
struct ObjectCopier: Sendable {
  private let sources: Repository
  private let target: RepositoryStore
  private let now: @Sendable () -> Timestamp
  private static let lanes = 4

  init(from sources: Repository, to target: RepositoryStore, now: @escaping @Sendable () -> Timestamp = { .now() }) {
    self.sources = sources
    self.target = target
    self.now = now
  }

  /// A manifest comes after everything it refers to, and not at all where something of that could not be had.
  /// - Throws: What was lost, once everything else is there.
  func copy(_ plan: FillPlan, _ progress: FillProgress, _ cancellation: Cancellation) throws {
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
    let held = manifests.reduce(into: Set(try sources.commonNames(in: target))) { $0.formUnion($1.held) }
    return try locks.extend(held, cancellation)
  }

  /// - Returns: What no other store has whole, and why.
  /// - Throws: `StorageError` where the store does not take it, `CancellationError`.
  private func copy(
    _ objects: [FillPlan.Object], _ progress: FillProgress, _ cancellation: Cancellation
  ) throws -> [ObjectName: any Error] {
    let lost = Mutex<[ObjectName: any Error]>([:])
    try forEachTogether(objects, lanes: Self.lanes, cancellation, label: "fill.\(target.id)") { object, cancellation in
      let bytes: [UInt8]
      do {
        bytes = try read(object)
      } catch let error as StorageError where error.isMissing && [nil, .manifest].contains(object.kind) {
        // A prune took it meanwhile.
        return
      } catch let error where error is StorageError || error is RepositoryError {
        lost.withLock { $0[object.name] = error }
        return
      }
      try bytes.withUnsafeBytes {
        try StoreWriter.put(object.name, $0, in: target, cancellation: cancellation)
      }
      progress.done(object)
    }
    return lost.withLock { $0 }
  }

  /// From the first store that has it whole.
  private func read(_ object: FillPlan.Object) throws -> [UInt8] {
    try sources.firstAnswer(for: object.name) { store in
      let bytes = try store.objects.readAll(object.name)
      if let kind = object.kind { try Self.check(bytes, kind, object.name, in: store, keys: sources.keys) }
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
}

/// What is left, told as it shrinks.
final class FillProgress: Sendable {
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
