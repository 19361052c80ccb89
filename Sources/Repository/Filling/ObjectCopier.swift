internal import BackupModel
internal import BlockingWork
internal import Storage
import Synchronization

/// Copies objects byte for byte into one store, each from the first of the others that has it whole. What the store has
/// damaged is replaced.
struct ObjectCopier: Sendable {
  private let sources: Repository
  private let target: RepositoryStore
  private let memory: FillMemory
  private let now: @Sendable () -> Timestamp
  private static let lanes = 4

  init(
    from sources: Repository, to target: RepositoryStore, memory: FillMemory = FillMemory(),
    now: @escaping @Sendable () -> Timestamp = { .now() }
  ) {
    self.sources = sources
    self.target = target
    self.memory = memory
    self.now = now
  }

  /// A manifest comes after everything it refers to, and not at all where something of that could not be had.
  /// - Throws: What was lost, once everything else is there.
  func copy(_ plan: FillPlan, _ progress: FillProgress, _ cancellation: Cancellation) throws {
    var lost = try copy(plan.documents, progress, cancellation)
    lost.merge(try copy(plan.contents, progress, cancellation)) { $1 }
    let whole = plan.manifests.filter { $0.needs.isDisjoint(with: lost.keys) }
    let unlocked = try extendLocks(whole, of: plan.lineage, cancellation)
    lost.merge(try copy(whole, progress, cancellation)) { $1 }
    if let error = plan.failure ?? lost.min(by: { $0.key < $1.key })?.value { throw error }
    if let unlocked { throw unlocked }
  }

  /// What manifests will lean on that the store had already; what is copied is locked by that.
  private func extendLocks(
    _ manifests: [FillPlan.Object], of lineage: Lineage, _ cancellation: Cancellation
  ) throws -> RepositoryError? {
    guard !manifests.isEmpty, let locks = LockExtension(target, now: now()) else { return nil }
    var held = manifests.reduce(into: Set(try sources.commonNames(in: target))) { $0.formUnion($1.held) }
    for manifest in manifests { held.formUnion(try neededWAL(of: manifest, lineage)) }
    return try locks.extend(held, cancellation)
  }

  /// The history of a backup's timeline, which may be much older than the backup, and of a copy its own WAL: an earlier
  /// copy may have brought it. Other stores get WAL as it comes.
  private func neededWAL(of manifest: FillPlan.Object, _ lineage: Lineage) throws -> Set<ObjectName> {
    let id = try BackupID(manifest.name.lastComponent)
    let header = try BackupCatalog(sources).readHeader(of: id, lineage)
    guard header.kind == .physical else { return [] }
    var names: Set<ObjectName> = []
    let history = lineage.history(header.timeline)
    if header.timeline.value > 1, try target.objects.size(of: history) != nil { names.insert(history) }
    if target.durability == .onCopy {
      let size = try WALSegmentSize(bytes: header.walSegmentBytes)
      let segments = WALSegment.all(from: header.startLSN, to: header.stopLSN, on: header.timeline, size: size)
      names.formUnion(segments.map { lineage.walSegment($0, size: size) })
    }
    return names
  }

  /// - Returns: What no other store has whole, or is damaged in this one and stays so, and why.
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
      if object.isInDoubt {
        do {
          if try isSame(object.name, bytes) {
            try forgetMark(of: object)
            return progress.done(object)
          }
          try removeDamaged(object.name)
        } catch let error where error is StorageError || error is RepositoryError {
          lost.withLock { $0[object.name] = error }
          return
        }
      }
      try bytes.withUnsafeBytes {
        try StoreWriter.put(object.name, $0, in: target, cancellation: cancellation)
      }
      try forgetMark(of: object)
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
    let reader = try SealedObjectReader(kind, name, bytes: bytes, from: store.id, keys: keys)
    for frame in reader.frames { _ = try reader.read(frame) }
  }
}

/// What the store has damaged. Nothing else is ever deleted here, and nothing before its bytes were read, and opened to
/// their end, in another store.
extension ObjectCopier {
  /// Whether the store holds these bytes: who marked them may have had a bad line.
  /// - Throws: `StorageError` where it does not say.
  private func isSame(_ name: ObjectName, _ bytes: [UInt8]) throws -> Bool {
    do {
      return try target.objects.readAll(name, limit: Int64(bytes.count)) == bytes
    } catch let error as StorageError {
      switch error {
      case .missing, .truncated, .frozen: return false
      default: throw error
      }
    }
  }

  /// From here on until it is put, by this pass or the next, it is missing: no worse than damaged.
  /// - Throws: ``RepositoryError/damaged(_:in:reason:)`` where it has to stay.
  private func removeDamaged(_ name: ObjectName) throws {
    func stays(_ why: String) -> RepositoryError {
      .damaged(name, in: target.id, reason: "It is not what another store has whole, and cannot be replaced: \(why).")
    }
    if let end = try target.objects.locks?.end(of: name, after: now()), end > now() {
      throw stays("it is locked until \(end)")
    }
    do {
      try target.objects.delete(name)
    } catch let error as StorageError where error.isDeletionRefused {
      throw stays("the store's keys may not delete")
    }
  }

  /// Its mark spoke of what was there before. Without the right to delete it stays, and this process knows better.
  private func forgetMark(of object: FillPlan.Object) throws {
    guard let mark = object.mark else { return }
    do {
      try target.objects.delete(mark)
    } catch let error as StorageError where error.isDeletionRefused {
      if let pack = try? PackID(mark.lastComponent) { memory.trust(pack, in: target.id) }
    }
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
