internal import BackupModel
internal import BlockingWork
internal import Storage
import Synchronization

/// Sees that what a backup leans on stays locked: a lock with less than half of its time left is given all of it again.
///
/// An object that backups need is so locked for half of the store's period at least, counted from the newest of them. Its
/// store remembers the ends it has set or heard, so each object is asked for once while the daemon runs, and then when
/// half of its time is over.
struct LockExtension {
  private static let lanes = 8

  let store: RepositoryStore
  let locks: any ObjectLocks
  let now: Timestamp

  /// Nil for a store that locks nothing.
  init?(_ store: RepositoryStore, now: Timestamp = .now()) {
    guard let locks = store.objects.locks else { return nil }
    self.store = store
    self.locks = locks
    self.now = now
  }

  /// - Returns: Why some could not be locked, where that is so: they are there all the same, and the next backup tries
  ///   again, with half of their time left as a rule.
  /// - Throws: `StorageError` for an object that is not there; `CancellationError`.
  func extend(_ names: some Collection<ObjectName>, _ cancellation: Cancellation) throws -> RepositoryError? {
    let failures = Mutex<[any Error]>([])
    try forEachTogether(Array(names), lanes: Self.lanes, cancellation, label: "lock.\(store.id)") { name, _ in
      guard failures.withLock({ $0.isEmpty }) else { return }
      do {
        try extend(name)
      } catch let error as StorageError where !error.isMissing {
        failures.withLock { $0.append(error) }
      }
    }
    return failures.withLock { $0.first }.map { .notLocked(store.id, cause: ErrorReport($0)) }
  }

  private func extend(_ name: ObjectName) throws {
    let needed = now + locks.period / 2
    if let end = try locks.end(of: name, after: needed), end >= needed { return }
    try locks.extend(name, to: now + locks.period)
  }
}

extension RepositoryStore {
  /// - Throws: ``StorageError/cannotLock(in:reason:)`` where it is to lock objects and cannot.
  public func requireLock() throws { try objects.locks?.requireUsable() }
}

extension Repository {
  /// What any restore needs besides its backup's own objects, as one store has it: the root and the keys.
  func commonNames(in store: RepositoryStore) throws -> [ObjectName] {
    var names = [Self.rootName]
    for key in keys.ids { names += try store.objects.list(below: "keys/\(key)").objects.map(\.name) }
    return names
  }
}

extension Lineage {
  /// What a manifest refers to.
  func names(of packs: [ManifestHeader.LivePack], parts: [PackID]) -> [ObjectName] {
    packs.map { $0.kind == .metadata ? metadataPack($0.pack) : pack($0.pack) } + parts.map { metadataPack($0) }
  }
}
