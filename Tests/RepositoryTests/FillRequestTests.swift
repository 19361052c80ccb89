import BackupModel
import BlockingWork
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Repository

/// A real store that notes what it is asked.
private final class NotingStore: ForwardingStore {
  private let store: any ObjectStore
  var base: any ObjectStore { store }
  private let asked = Mutex<[String]>([])

  init(_ store: any ObjectStore) { self.store = store }

  /// Since the last time.
  func take() -> [String] {
    asked.withLock { asked in
      defer { asked = [] }
      return asked
    }
  }
  private func note(_ question: String) { asked.withLock { $0.append(question) } }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    note("put \(name)")
    try store.put(name, bytes, cancellation: cancellation)
  }
  func size(of name: ObjectName) throws -> Int64? {
    note("size \(name)")
    return try store.size(of: name)
  }
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    note("read \(name)")
    try store.read(name, at: offset, into: buffer)
  }
  func list(below prefix: String) throws -> Listing {
    note("list \(prefix)")
    return try store.list(below: prefix)
  }
  func delete(_ name: ObjectName) throws {
    note("delete \(name)")
    try store.delete(name)
  }
}

@Suite("Filling a store") struct FillRequestTests {
  /// Two stores, the second of which follows the first, and the requests of both.
  private static func run(_ body: (RepositoryFixture, _ asked: () -> [String]) throws -> Void) throws {
    var noting: [NotingStore] = []
    func change(_ stores: [RepositoryStore]) -> [RepositoryStore] {
      noting = stores.map { NotingStore($0.objects) }
      return [
        RepositoryStore(id: stores[0].id, objects: noting[0]),
        RepositoryStore(id: stores[1].id, objects: noting[1], durability: .eventual),
      ]
    }
    try RepositoryFixture.run(stores: 2, change: change) { fixture in
      try body(fixture) { noting.flatMap { $0.take() } }
    }
  }

  @Test("reads nothing again, and takes few requests where nothing is new") func idle() throws {
    try Self.run { fixture, asked in
      var generator = SystemRandomNumberGenerator()
      let series = PrunedSeries(fixture)
      try series.take(20, using: &generator)
      for backup in series.taken.prefix(4) { try series.delete(backup.backup) }
      let filler = try #require(StoreFiller(fixture.repository, fixture.repository.stores[1].id, rules: [:]))
      func fill() throws -> StoreFiller.Outcome { try filler.fill(cancellation: Cancellation()) { _ in } }
      #expect(try fill() == .whole)
      _ = asked()
      #expect(try fill() == .whole)
      let idle = asked()
      #expect(idle.allSatisfy { $0.hasPrefix("list ") || $0 == "size repository.json" }, "\(idle)")
      #expect(idle.count <= 20, "\(idle)")
      try series.take(1, using: &generator)
      _ = asked()
      #expect(try fill() == .whole)
      let newest = fixture.lineage.manifest(try #require(series.taken.last?.backup)).text
      let manifests = asked().filter { $0.hasPrefix("read ") && $0.contains("/backups/") }
      #expect(Set(manifests) == ["read " + newest])
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).count == 17)
    }
  }
}
