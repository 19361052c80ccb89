import BackupModel
import BlockingWork
import Foundation
import Repository
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Recovery

@Suite("A restore that not every store answers to") struct UnheardStoreTests {
  typealias Made = FabricatedRepository

  /// Two stores, the first without the older of two backups.
  private static func run(_ body: (Made, _ older: BackupID, SilentStore, Repository) throws -> Void) throws {
    try TemporaryDirectory.run { directory in
      let made = try Made(directory)
      for number in UInt64(1)...6 {
        let commit = Made.Event.commit(offset: 5000, xid: UInt32(100 + number), at: Int64(number) * 10)
        try made.storeWAL(number, clock: Int64(number) * 10 + 5, [commit])
      }
      let older = try made.backUp(start: Made.lsn(1, 40), stop: Made.lsn(1, 4000), at: 5)
      try made.backUp(start: Made.lsn(4, 6000), stop: Made.lsn(4, 9000), at: 43)
      try FileManager.default.copyItem(atPath: directory + "/store", toPath: directory + "/cloud")
      try FileManager.default.removeItem(atPath: "\(directory)/store/\(made.lineage.manifest(older))")
      let cloud = SilentStore(PosixStore(root: directory + "/cloud"))
      let stores = [
        RepositoryStore(id: try StoreID("local"), objects: PosixStore(root: directory + "/store")),
        RepositoryStore(id: try StoreID("cloud"), objects: cloud),
      ]
      try body(made, older, cloud, Repository.open(stores: stores, unlocking: .unwrapped))
    }
  }

  @Test("loses no backup by one request that gets lost")
  func lostRequest() throws {
    try Self.run { made, older, cloud, repository in
      cloud.lost.withLock { $0 = 1 }
      let plan = try RestorePlanner(repository: repository).plan(made.options(.time(Made.time(25))))
      #expect(plan.backup == older && plan.warnings.isEmpty && repository.unheard.isEmpty, "\(plan.warnings)")
    }
  }

  @Test("says of a target before all that it knows of that another store may reach it")
  func silent() throws {
    try Self.run { made, _, cloud, repository in
      cloud.lost.withLock { $0 = .max }
      let error = #expect(throws: RecoveryError.self) {
        try RestorePlanner(repository: repository).plan(made.options(.time(Made.time(25))))
      }
      #expect(error?.summary.hasPrefix("cannot restore to") == true)
      #expect(error?.detail?.contains("Store \"cloud\" did not answer and may hold other backups") == true)
      #expect(error?.detail?.contains("It lies before the end of the oldest backup") == true)
      // What is reached without it is not held up.
      let plan = try RestorePlanner(repository: repository).plan(made.options(.time(Made.time(55))))
      #expect(plan.warnings.contains { $0.contains("\"cloud\" did not answer") }, "\(plan.warnings)")
      // It is heard again.
      cloud.lost.withLock { $0 = 0 }
      #expect(try BackupCatalog(repository).list().backups.count == 2 && repository.unheard.isEmpty)
    }
  }
}

/// A store whose next requests get lost.
private final class SilentStore: ForwardingStore {
  let lost = Mutex(0)
  private let store: PosixStore
  var base: any ObjectStore { store }
  init(_ store: PosixStore) { self.store = store }

  private func ask(_ name: ObjectName?) throws {
    let isLost = lost.withLock { lost in
      defer { if lost > 0, lost != .max { lost -= 1 } }
      return lost > 0
    }
    guard isLost else { return }
    throw StorageError.failed(
      "reach", name, in: location, cause: ErrorReport(summary: "the connection was reset"), retry: .mayHelp)
  }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try ask(name)
    try store.put(name, bytes, cancellation: cancellation)
  }
  func size(of name: ObjectName) throws -> Int64? {
    try ask(name)
    return try store.size(of: name)
  }
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    try ask(name)
    try store.read(name, at: offset, into: buffer)
  }
  func list(below prefix: String) throws -> Listing {
    try ask(nil)
    return try store.list(below: prefix)
  }
  func delete(_ name: ObjectName) throws {
    try ask(name)
    try store.delete(name)
  }
}
