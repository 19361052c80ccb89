public import BackupModel
public import BlockingWork
internal import Synchronization
public import Transfer

/// A store of which nothing is asked before a check has passed: a directory may be the mount point of a disk that is away.
///
/// Until then each call throws what the check throws, so that nothing is said to be absent and nothing is written. It is
/// made at each call until it passes, and then no more.
public struct GuardedStore: ObjectStore {
  /// - Throws: `StorageError`: why the store is not the right one.
  public typealias Check = @Sendable (any ObjectStore) throws -> Void

  private final class State: Sendable {
    let hasPassed = Atomic<Bool>(false)
  }

  private let store: any ObjectStore
  private let check: Check
  private let state: State

  private init(_ store: any ObjectStore, _ check: @escaping Check, _ state: State) {
    self.store = store
    self.check = check
    self.state = state
  }

  public init(_ store: any ObjectStore, check: @escaping Check) { self.init(store, check, State()) }

  private func checked() throws -> any ObjectStore {
    if !state.hasPassed.load(ordering: .relaxed) {
      try check(store)
      state.hasPassed.store(true, ordering: .relaxed)
    }
    return store
  }

  public var location: String { store.location }
  public var once: any ObjectStore { GuardedStore(store.once, check, state) }
  public var parallelism: Int { store.parallelism }
  public var counters: TransferCounters? { store.counters }
  public var locks: (any ObjectLocks)? { store.locks }
  public func asOf(_ moment: Timestamp) throws -> any ObjectStore { try store.asOf(moment) }
  public func hiddenVersions(of name: ObjectName) throws -> [any ObjectStore] {
    try checked().hiddenVersions(of: name)
  }

  public func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try checked().put(name, bytes, cancellation: cancellation)
  }
  public func size(of name: ObjectName) throws -> Int64? { try checked().size(of: name) }
  public func modified(of name: ObjectName) throws -> Timestamp? { try checked().modified(of: name) }
  public func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try checked().read(name, at: offset, into: buffer)
  }
  public func readEnd(_ name: ObjectName, into buffer: UnsafeMutableRawBufferPointer) throws -> Int64? {
    try checked().readEnd(name, into: buffer)
  }
  public func list(below prefix: String) throws -> Listing { try checked().list(below: prefix) }
  public func delete(_ name: ObjectName) throws { try checked().delete(name) }
  public func delete(_ names: [ObjectName]) throws { try checked().delete(names) }
}
