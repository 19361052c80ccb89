import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Repository

/// A store that lists without times, as one on an SFTP server does.
private final class TimelessStore: ForwardingStore {
  private let store: any ObjectStore
  var base: any ObjectStore { store }
  private struct State {
    var asked: Set<ObjectName> = []
    var lists: [String] = []
    var isSilent = false
  }
  private let state = Mutex(State())

  init(_ store: any ObjectStore) { self.store = store }

  /// Names whose times were asked for.
  var asked: Set<ObjectName> { state.withLock { $0.asked } }
  /// Prefixes that were listed.
  var lists: [String] {
    get { state.withLock { $0.lists } }
    set { state.withLock { $0.lists = newValue } }
  }
  /// Whether it does not know when anything was written.
  var isSilent: Bool {
    get { state.withLock { $0.isSilent } }
    set { state.withLock { $0.isSilent = newValue } }
  }

  func modified(of name: ObjectName) throws -> Timestamp? {
    let isSilent = state.withLock { state in
      state.asked.insert(name)
      return state.isSilent
    }
    if isSilent { return nil }
    let directory = String(name.text.dropLast(name.lastComponent.count + 1))
    return try store.list(below: directory).objects.first { $0.name == name }?.modified
  }
  func list(below prefix: String) throws -> Listing {
    state.withLock { $0.lists.append(prefix) }
    var listing = try store.list(below: prefix)
    for index in listing.objects.indices { listing.objects[index].modified = nil }
    return listing
  }
}

@Suite("Prune of a store that lists without times") struct TimelessPruneTests {
  private static func timeless(_ stores: [RepositoryStore]) -> [RepositoryStore] {
    stores.map { RepositoryStore(id: $0.id, objects: TimelessStore($0.objects)) }
  }

  private func run(_ body: (RepositoryFixture, TimelessStore) throws -> Void) throws {
    try RepositoryFixture.run(change: Self.timeless) { fixture throws in
      let store = try #require(fixture.repository.stores[0].objects as? TimelessStore)
      try body(fixture, store)
    }
  }

  @Test("asks when that was written which may go, and takes nothing for old that nobody knows the age of")
  func packs() throws {
    try run { fixture, store in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(3, using: &generator)
      #expect(try pruned.prune(later: day * 3).freedBytes.value == 0)
      #expect(store.asked.isEmpty)
      try pruned.delete(pruned.taken[2].backup)
      // The manifest may go after a day, packs after two.
      #expect(try pruned.prune(later: .seconds(25 * 3600)).error == nil)
      #expect(try pruned.catalog.list().backups.count == 2)
      let bytes = try pruned.bytes()
      store.isSilent = true
      #expect(try pruned.prune(later: day * 3).error == nil)
      #expect(try pruned.bytes() == bytes && !store.asked.isEmpty)
      store.isSilent = false
      #expect(try pruned.prune(later: day * 3).error == nil)
      #expect(try pruned.bytes() < bytes)
      let live = try pruned.taken.dropLast().flatMap { try pruned.catalog.open($0.backup).livePacks() }
      #expect(store.asked.isDisjoint(with: live.map { fixture.lineage.pack($0.pack) }))
      try pruned.compareRest()
    }
  }

  @Test("gives up what a run left that never ended")
  func abandoned() throws {
    try run { fixture, store in
      let pruned = PrunedSeries(fixture)
      let contents = (1...8).map { Content(path: "base/5/\($0)", size: 700 * 8192) }
      let (options, header) = try pruned.series.prepare()
      fixture.stores[0].faults.withLock { $0.putsLeft = 6 }
      #expect(throws: (any Error).self) {
        _ = try fixture.store(contents, options: options) { $0.leaveCheckpoints(header, expected: 0) }
      }
      fixture.stores[0].faults.withLock { $0.putsLeft = .max }
      for (days, isSilent) in [(5, false), (8, true)] {
        store.isSilent = isSilent
        #expect(try pruned.prune(later: day * days).freedBytes.value == 0)
        #expect(try !fixture.files(below: fixture.lineage.checkpointsPrefix).isEmpty)
      }
      store.isSilent = false
      for _ in 0..<2 { #expect(try pruned.prune(later: day * 8).error == nil) }
      #expect(try fixture.files(below: fixture.lineage.checkpointsPrefix).isEmpty)
      #expect(try pruned.bytes() == 0)
    }
  }

  @Test("removes slices whose whole segment is there")
  func slices() throws {
    try run { fixture, store in
      let pruned = PrunedSeries(fixture)
      let lineage = fixture.lineage
      let segment = WALSegment(timeline: TimelineID(1), number: 4)
      let start = segment.start(size: .standard)
      try Self.backUp(pruned, in: segment)
      let slice = lineage.walSlice(segment, from: start, to: LSN(start.value + 100), size: .standard)
      for name in [lineage.walSegment(segment, size: .standard), slice] { try fixture.replace(name, with: [1]) }
      func prune(_ days: Int, isSilent: Bool) throws -> [String] {
        store.isSilent = isSilent
        #expect(try pruned.prune(later: day * days).error == nil)
        return try fixture.files(below: lineage.walPrefix).filter { $0.contains(".partial") }
      }
      #expect(try prune(1, isSilent: false).count == 1)
      #expect(try prune(3, isSilent: true).count == 1)
      #expect(try prune(3, isSilent: false).isEmpty)
      #expect(try fixture.files(below: lineage.walPrefix).count == 1)
    }
  }

  /// Needs WAL from this segment on.
  private static func backUp(_ pruned: PrunedSeries, in segment: WALSegment) throws {
    let start = segment.start(size: .standard)
    let (options, header) = try pruned.series.prepare()
    var positioned = header
    positioned.startLSN = LSN(start.value + 40)
    positioned.stopLSN = LSN(start.value + 240)
    let writer = try pruned.fixture.store(IncrementalTests.contents, options: options)
    #expect(writer.sortFiles() == nil)
    _ = try writer.commit(positioned, cancellation: Cancellation())
  }

  @Test("looks into few folders of slices in which nothing may go")
  func manySlices() throws {
    try run { fixture, store in
      let pruned = PrunedSeries(fixture)
      let lineage = fixture.lineage
      let segments = (UInt64(4)..<254).map { WALSegment(timeline: TimelineID(1), number: $0) }
      try Self.backUp(pruned, in: segments[0])
      let names = segments.map { segment in
        let start = segment.start(size: .standard)
        return lineage.walSlice(segment, from: start, to: LSN(start.value + 100), size: .standard)
      }
      for (segment, slice) in zip(segments, names) {
        for name in [lineage.walSegment(segment, size: .standard), slice] { try fixture.replace(name, with: [1]) }
      }
      let past = Date().addingTimeInterval(-3 * 86400)
      for name in names.prefix(150) {
        let path = "\(fixture.directory)/store0/\(name)"
        try FileManager.default.setAttributes([.modificationDate: past], ofItemAtPath: path)
      }
      func prune() throws -> Int {
        store.lists = []
        #expect(try pruned.prune(later: .zero).error == nil)
        return store.lists.filter { $0.hasSuffix(".partial") }.count
      }
      let looked = try prune()
      #expect(try fixture.files(below: lineage.walPrefix).filter { $0.contains(".partial") }.count == 100)
      // Once for what went, and asked for times by the store itself as often.
      #expect(looked <= 2 * 151 + 1, "\(looked)")
      #expect(try prune() <= 2)
    }
  }

  @Test("lists the leases of a holder that is done once, where its keys may not delete them")
  func leases() throws {
    try run { fixture, store in
      fixture.stores[0].faults.withLock {
        $0.beforeDelete = { name in
          throw StorageError.deletionRefused(name, in: "here", cause: ErrorReport(summary: "it is not allowed"))
        }
      }
      for _ in 0..<5 {
        try Lease(.backup, fixture.repository, fixture.lineage, cancellation: Cancellation()).release()
      }
      func look() throws -> (lists: Int, expired: [ObjectName]) {
        store.lists = []
        let found = try Lease.list(fixture.repository, fixture.lineage, at: .now())
        #expect(found.live.isEmpty)
        return (store.lists.count, found.expired.map(\.name).sorted())
      }
      let (first, second) = (try look(), try look())
      #expect(first.lists == 6 && second.lists == 1)
      #expect(first.expired.count == 10 && second.expired == first.expired)
      fixture.stores[0].faults.withLock { $0.beforeDelete = { _ in } }
      for name in first.expired { try store.delete(name) }
      #expect(try look().expired.isEmpty)
    }
  }
}
