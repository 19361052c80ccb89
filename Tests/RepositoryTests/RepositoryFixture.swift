import BackupModel
import BlockingWork
import Cryptography
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import KeyManagement
@testable import Repository

/// A repository in stores below a directory that exists for the length of a closure.
struct RepositoryFixture {
  let directory: String
  let stores: [FaultyStore]
  let repository: Repository
  let lineage = Lineage(cluster: ClusterID(unchecked: "oauth"), systemIdentifier: SystemIdentifier(7_000_000_000))

  /// - Parameter change: Made to the stores' settings.
  static func run<Result>(
    stores count: Int = 1, change: ([RepositoryStore]) -> [RepositoryStore] = { $0 },
    _ body: (RepositoryFixture) throws -> Result
  ) throws -> Result {
    try TemporaryDirectory.run { directory in
      let stores = (0..<count).map { FaultyStore(PosixStore(root: "\(directory)/store\($0)", makesRoot: true)) }
      let repository = try Repository.create(
        in: change(named(stores)), unlocking: .unwrapped, cancellation: Cancellation())
      return try body(RepositoryFixture(directory: directory, stores: stores, repository: repository))
    }
  }

  static func named(_ stores: [any ObjectStore]) -> [RepositoryStore] {
    stores.enumerated().map { RepositoryStore(id: StoreID(unchecked: "store\($0)"), objects: $1) }
  }

  func reopened() throws -> Repository { try Repository.open(stores: repository.stores, unlocking: .unwrapped) }

  /// Files below a store, relative, without directories.
  func files(_ store: Int = 0, below part: String = "") throws -> [String] {
    let root = "\(directory)/store\(store)/\(part)"
    let all = FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []
    return all.filter {
      var isDirectory: ObjCBool = false
      return FileManager.default.fileExists(atPath: root + "/" + $0, isDirectory: &isDirectory)
        && !isDirectory.boolValue
    }.sorted()
  }

  func path(_ name: ObjectName, store: Int = 0) -> String { "\(directory)/store\(store)/\(name)" }

  func bytes(_ name: ObjectName, store: Int = 0) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path(name, store: store))))
  }

  /// Changes what a store holds, as a disk that rots would.
  func replace(_ name: ObjectName, store: Int = 0, with bytes: [UInt8]) throws {
    let path = path(name, store: store)
    try FileManager.default.createDirectory(
      atPath: String(path[..<path.lastIndex(of: "/")!]), withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  func header(_ sequence: UInt64 = 1) -> ManifestHeader {
    ManifestHeader(
      id: BackupID(started: Timestamp(seconds: 1_793_577_600 + Int64(sequence))), cluster: lineage.cluster,
      systemIdentifier: lineage.systemIdentifier, kind: .physical, job: JobID(unchecked: "nightly"), run: nil,
      sequence: sequence, started: Timestamp(seconds: 1_793_577_600))
  }

  /// Seals one object and puts it into the first store.
  func seal(_ kind: ObjectKind, _ name: ObjectName, frames: [[UInt8]]) throws -> [UInt8] {
    let builder = try repository.makeBuilder(kind, name, buffer: SealedBuffer(capacity: 1 << 16))
    for frame in frames { try frame.withUnsafeBytes { try builder.appendStream($0, with: .init(level: 1)) } }
    let buffer = try builder.finish()
    let bytes = Array(buffer.bytes)
    try replace(name, with: bytes)
    return bytes
  }
}

/// A real store with a switch for each thing that can fail.
final class FaultyStore: ForwardingStore {
  struct Faults: Sendable {
    /// Puts that succeed before every later one fails.
    var putsLeft = Int.max
    /// Called before each put.
    var beforePut: @Sendable (ObjectName) throws -> Void = { _ in }
    var beforeRead: @Sendable (ObjectName) throws -> Void = { _ in }
    var beforeDelete: @Sendable (ObjectName) throws -> Void = { _ in }
    /// How far the store's clock is ahead; seen where it is asked for, on leases.
    var clockAhead: Duration = .zero
    /// What packs are listed as.
    var packClass: StorageClass?
  }
  let store: PosixStore
  var base: any ObjectStore { store }
  let faults = Mutex(Faults())
  init(_ store: PosixStore) { self.store = store }

  func failure(_ name: ObjectName) -> StorageError {
    .failed("write", name, in: location, cause: ErrorReport(summary: "the disk is gone"), retry: .useless)
  }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    let (fails, before) = faults.withLock { faults in
      if faults.putsLeft == 0 { return (true, faults.beforePut) }
      if faults.putsLeft != .max { faults.putsLeft -= 1 }
      return (false, faults.beforePut)
    }
    try before(name)
    if fails { throw failure(name) }
    try store.put(name, bytes, cancellation: cancellation)
  }
  func size(of name: ObjectName) throws -> Int64? {
    try faults.withLock { $0.beforeRead }(name)
    return try store.size(of: name)
  }
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try faults.withLock { $0.beforeRead }(name)
    try store.read(name, at: offset, into: buffer)
  }
  func list(below prefix: String) throws -> Listing {
    var listing = try store.list(below: prefix)
    let (ahead, packClass) = faults.withLock { ($0.clockAhead, $0.packClass) }
    for index in listing.objects.indices where listing.objects[index].name.text.contains("/packs/") {
      listing.objects[index].storageClass = packClass
    }
    for index in listing.objects.indices where listing.objects[index].name.text.contains("/leases/") {
      listing.objects[index].modified = listing.objects[index].modified.map { $0 + ahead }
    }
    return listing
  }
  func delete(_ name: ObjectName) throws {
    try faults.withLock { $0.beforeDelete }(name)
    try store.delete(name)
  }
}
