import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import KeyManagement
@testable import Repository

@Suite("A copy of a backup") struct BackupCopierTests {
  private static let archive = StoreID(unchecked: "store1")

  /// The second store gets copies alone.
  private static func run(_ body: (RepositoryFixture, PrunedSeries) throws -> Void) throws {
    func copying(_ stores: [RepositoryStore]) -> [RepositoryStore] {
      [stores[0], RepositoryStore(id: stores[1].id, objects: stores[1].objects, durability: .onCopy)]
    }
    try RepositoryFixture.run(stores: 2, change: copying) { try body($0, PrunedSeries($0)) }
  }

  @discardableResult
  private func copy(_ fixture: RepositoryFixture) throws -> BackupCopier.Result {
    let copier = try #require(BackupCopier(fixture.repository, to: Self.archive, of: fixture.lineage.cluster))
    return try copier.run(cancellation: Cancellation()) { _ in }
  }

  private static func reasons(_ report: PruneReport, _ action: PruneReport.Action, _ kind: String) -> [String] {
    var reasons: [String] = []
    for entry in report.entries where entry.action == action && entry.kind == kind { reasons.append(entry.reason) }
    return reasons
  }

  private func copies(_ fixture: RepositoryFixture) throws -> [BackupID] {
    try BackupCatalog(try #require(fixture.repository.alone(in: Self.archive))).list().backups.map(\.id)
  }

  @Test("is the newest one alone, whole, and the store has no part in backups")
  func newest() throws {
    try Self.run { fixture, series in
      var generator = SystemRandomNumberGenerator()
      try series.take(3, using: &generator)
      #expect(try fixture.files(1, below: fixture.lineage.prefix).isEmpty)
      let result = try copy(fixture)
      let newest = try #require(series.taken.last?.backup)
      #expect(result.backup == newest && result.objects > 2 && result.bytes.value > 0)
      #expect(try copies(fixture) == [newest])
      let listed = try BackupCatalog(fixture.repository).listWithArchives()
      #expect(listed.backups.map(\.stores.count) == [1, 1, 2] && listed.unheard.isEmpty)
      #expect(listed.backups.allSatisfy { $0.missingStores.isEmpty })
      let alone = try #require(fixture.repository.alone(in: Self.archive))
      let report = try Verifier(repository: alone).verify(newest, depth: .full, cancellation: Cancellation())
      #expect(report.isSound, "\(report.damage)")
      // Again: it is there already.
      #expect(try copy(fixture).objects == 0)
      #expect(try Lease.list(alone, fixture.lineage, at: .now()).live.isEmpty)
      #expect(try Lease.list(fixture.repository, fixture.lineage, at: .now()).live.isEmpty)
      // Everything else is lost.
      try FileManager.default.removeItem(atPath: fixture.directory + "/store0")
      let left = try Repository.open(stores: [fixture.repository.archives[0]], unlocking: .unwrapped)
      #expect(try BackupCatalog(left).list().backups.map(\.id) == [newest])
    }
  }

  @Test("that fails at any put is whole or not listed, and is completed by the next run")
  func interrupted() throws {
    for failing in 1...7 {
      try Self.run { fixture, series in
        var generator = SystemRandomNumberGenerator()
        try series.take(1, using: &generator)
        fixture.stores[1].faults.withLock { $0.putsLeft = failing - 1 }
        let failed = Result { try copy(fixture) }
        fixture.stores[1].faults.withLock { $0.putsLeft = .max }
        if case .failure = failed { #expect(try copies(fixture).isEmpty) }
        try copy(fixture)
        #expect(try copies(fixture) == [series.taken[0].backup])
      }
    }
  }

  @Test("is not made into what is no repository, nor beside a prune there")
  func refused() throws {
    try Self.run { fixture, series in
      #expect(throws: CopyError.self) { try copy(fixture) }
      var generator = SystemRandomNumberGenerator()
      try series.take(1, using: &generator)
      let alone = try #require(fixture.repository.alone(in: Self.archive))
      let prune = try Lease(.prune, alone, fixture.lineage, cancellation: Cancellation())
      #expect(throws: RetentionError.self) { try copy(fixture) }
      prune.release()
      try FileManager.default.removeItem(atPath: fixture.directory + "/store1/repository.json")
      #expect(throws: RepositoryError.self) { try copy(fixture) }
    }
  }

  @Test("takes along the envelopes of its own data key, of all recipients, and nothing else from keys/")
  func envelopes() throws {
    try Self.run { fixture, series in
      var generator = SystemRandomNumberGenerator()
      try series.take(1, using: &generator)
      let keys = fixture.repository.keys.current
      let file = try KeyFile.create(fixture.directory + "/key")
      let later = Repository.envelopeName(keys.id, "key-file-\(file.id)")
      try fixture.replace(
        later,
        with: CheckedDocument.encodePlain(KeyEnvelope(keys, repository: fixture.repository.id, for: .keyFile(file))))
      for junk in ["\(KeyID.random())/none.json", "\(keys.id)/key-file-00000000.json", "\(keys.id)/x"] {
        try fixture.replace(ObjectName(composed: "keys/" + junk), with: [1, 2, 3])
      }
      try copy(fixture)
      #expect(try fixture.files(1, below: "keys") == ["\(keys.id)/\(later.lastComponent)", "\(keys.id)/none.json"])
    }
  }

  @Test("locks again the history of its timeline and its WAL, which an earlier copy brought")
  func locks() throws {
    var target: LockingStore?
    func copying(_ stores: [RepositoryStore]) -> [RepositoryStore] {
      let store = LockingStore(stores[1].objects)
      target = store
      return [stores[0], RepositoryStore(id: stores[1].id, objects: store, durability: .onCopy)]
    }
    try RepositoryFixture.run(stores: 2, change: copying) { fixture in
      let locking = try #require(target)
      let size = try WALSegmentSize(bytes: 1 << 20)
      let segment = WALSegment(timeline: TimelineID(2), number: 3)
      try fixture.putSegment(segment, size: size)
      _ = try fixture.seal(.timelineHistory, fixture.lineage.history(TimelineID(2)), frames: [[1]])
      let series = BackupSeries(fixture)
      for _ in 0..<2 {
        let (options, prepared) = try series.prepare()
        var header = prepared
        header.timeline = segment.timeline
        header.walSegmentBytes = size.bytes
        header.startLSN = segment.start(size: size) + 40
        header.stopLSN = header.startLSN + 200
        let writer = try fixture.store(IncrementalTests.contents, options: options)
        #expect(writer.sortFiles() == nil)
        _ = try writer.commit(header, cancellation: Cancellation())
        locking.extended.withLock { $0 = [] }
        try copy(fixture)
      }
      let extended = locking.extended.withLock { $0 }
      #expect(extended.contains(fixture.lineage.history(TimelineID(2))))
      #expect(extended.contains(fixture.lineage.walSegment(segment, size: size)))
      #expect(extended.contains(Repository.rootName))
    }
  }

  @Test("goes by the copy job's keep, and its packs when their class is paid for no longer")
  func pruned() throws {
    try Self.run { fixture, series in
      var generator = SystemRandomNumberGenerator()
      for _ in 0..<2 {
        try series.take(1, using: &generator)
        try copy(fixture)
      }
      // It needs nothing of what the others do.
      let contents = try #require(series.taken.last?.contents)
      let last = try series.series.take(contents, anew: true).backup.id
      try copy(fixture)
      fixture.stores[1].faults.withLock { $0.packClass = StorageClass("DEEP_ARCHIVE") }
      var rules = RetentionRules(policies: [JobID(unchecked: "archive"): .some(.init(count: 1))], recoveryWindow: nil)
      rules.owner = JobID(unchecked: "archive")
      func prune(_ later: Duration) throws -> PruneReport {
        fixture.stores[1].faults.withLock { $0.clockAhead = later }
        let reports = try Pruner.runArchives(
          of: fixture.repository, fixture.lineage.cluster, rules: [Self.archive: rules], now: { .now() + later },
          cancellation: Cancellation())
        return try #require(reports.first)
      }
      let packs = fixture.lineage.packsPrefix
      let before = try fixture.files(1, below: packs)
      #expect(try prune(.zero).entries.filter { $0.action == .tombstone }.count == 2)
      let report = try prune(day * 3)
      #expect(report.error == nil && report.entries.filter { $0.kind == "backup" && $0.action == .remove }.count == 2)
      #expect(try copies(fixture) == [last])
      // What nothing refers to any more is paid for 180 days.
      #expect(try fixture.files(1, below: packs) == before)
      let reasons = Self.reasons(report, .wait, "packs")
      #expect(reasons.count == 1 && reasons[0].contains("DEEP_ARCHIVE is paid for 180 days"), "\(reasons)")
      #expect(try prune(day * 181).error == nil)
      #expect(try fixture.files(1, below: packs).count < before.count)
      // Elsewhere nothing was deleted.
      #expect(try series.catalog.list().backups.allSatisfy { $0.deleted == nil })
      try series.series.compare(last, contents)
    }
  }
}

/// A store where every lock is about to end, and what was locked for longer is noted.
private final class LockingStore: ForwardingStore, ObjectLocks {
  let extended = Mutex<Set<ObjectName>>([])
  private let store: any ObjectStore
  var base: any ObjectStore { store }
  init(_ store: any ObjectStore) { self.store = store }

  var locks: (any ObjectLocks)? { self }
  var period: Duration { .seconds(3600) }

  func end(of name: ObjectName, after moment: Timestamp) throws -> Timestamp? {
    guard try store.size(of: name) != nil else { throw StorageError.missing(name, in: location) }
    return .now() + .seconds(1)
  }
  func extend(_ name: ObjectName, to end: Timestamp) throws { extended.withLock { _ = $0.insert(name) } }
  func requireUsable() throws {}
}
