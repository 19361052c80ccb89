import BackupModel
import BlockingWork
import Storage
import Synchronization
import Testing

@testable import Repository

@Suite("A store with something damaged") struct FillDamageTests {
  private static let store = StoreID(unchecked: "store1")

  /// The second store follows the first, or gets copies.
  private static func run(
    _ durability: Durability = .eventual, _ body: (RepositoryFixture, PrunedSeries) throws -> Void
  ) throws {
    func following(_ stores: [RepositoryStore]) -> [RepositoryStore] {
      [stores[0], RepositoryStore(id: stores[1].id, objects: stores[1].objects, durability: durability)]
    }
    try RepositoryFixture.run(stores: 2, change: following) { try body($0, PrunedSeries($0)) }
  }

  private static func take(_ series: PrunedSeries) throws {
    var generator = SystemRandomNumberGenerator()
    try series.take(1, using: &generator)
  }

  private static func filler(_ fixture: RepositoryFixture) throws -> StoreFiller {
    try #require(StoreFiller(fixture.repository, store, rules: [:]))
  }

  private static func fill(_ fixture: RepositoryFixture) throws {
    try filler(fixture).fill(cancellation: Cancellation()) { _ in }
  }

  private static func alone(_ fixture: RepositoryFixture) throws -> Repository {
    try #require(fixture.repository.alone(in: store))
  }

  /// Changes the second store's first pack, as a disk that rots would.
  private static func damage(
    _ fixture: RepositoryFixture, _ change: (inout [UInt8]) -> Void = { $0[$0.count / 2] ^= 1 }
  ) throws -> ObjectName {
    let pack = try #require(try fixture.stores[1].list(below: fixture.lineage.packsPrefix).objects.first?.name)
    var bytes = try fixture.bytes(pack, store: 1)
    change(&bytes)
    try fixture.replace(pack, store: 1, with: bytes)
    return pack
  }

  /// What `verify --full` does.
  private static func verify(_ fixture: RepositoryFixture, _ series: PrunedSeries) throws -> VerifyReport {
    let verifier = Verifier(repository: try alone(fixture))
    let newest = try #require(series.taken.last?.backup)
    let report = try verifier.verify(newest, depth: .full, cancellation: Cancellation())
    try verifier.mark(report, cancellation: Cancellation())
    return report
  }

  private static func expectMended(
    _ pack: ObjectName, _ fixture: RepositoryFixture, _ series: PrunedSeries, backups: Int
  ) throws {
    #expect(try fixture.bytes(pack, store: 1) == fixture.bytes(pack))
    #expect(try fixture.files(1, below: fixture.lineage.damagePrefix).isEmpty)
    #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).count == backups)
    let report = try verify(fixture, series)
    #expect(report.isSound, "\(report.damage)")
  }

  @Test("gets it anew from another one, also where no backup waits for it") func marked() throws {
    try Self.run { fixture, series in
      try Self.take(series)
      try Self.fill(fixture)
      let pack = try Self.damage(fixture)
      #expect(try Self.verify(fixture, series).damage.map(\.object) == [pack.text])
      #expect(try Self.filler(fixture).lag().objects == 1)
      try Self.fill(fixture)
      try Self.expectMended(pack, fixture, series, backups: 1)
      #expect(try Self.filler(fixture).lag() == StoreLag())
    }
  }

  @Test("gets it before a manifest leans on it", arguments: [true, false]) func leaning(isCutOff: Bool) throws {
    try Self.run { fixture, series in
      try Self.take(series)
      try Self.fill(fixture)
      // What is cut off shows in a listing, and needs no mark.
      let pack = try isCutOff ? Self.damage(fixture) { $0.removeLast(100) } : Self.damage(fixture)
      if !isCutOff { #expect(try !Self.verify(fixture, series).isSound) }
      try Self.take(series)
      let isWhole = Mutex(false)
      fixture.stores[1].faults.withLock {
        $0.beforePut = { name in
          guard name.text.contains("/backups/") else { return }
          let bytes = try fixture.bytes(pack)
          let held = try fixture.bytes(pack, store: 1)
          isWhole.withLock { $0 = held == bytes }
        }
      }
      try Self.fill(fixture)
      #expect(isWhole.withLock { $0 })
      try Self.expectMended(pack, fixture, series, backups: 2)
    }
  }

  @Test("keeps it where nothing may be deleted, gets no manifest that leans on it, and says so") func kept() throws {
    try Self.run { fixture, series in
      try Self.take(series)
      try Self.fill(fixture)
      let pack = try Self.damage(fixture)
      let held = try fixture.bytes(pack, store: 1)
      #expect(try !Self.verify(fixture, series).isSound)
      try Self.take(series)
      fixture.stores[1].faults.withLock {
        $0.beforeDelete = {
          throw StorageError.deletionRefused($0, in: "here", cause: ErrorReport(summary: "no right"))
        }
      }
      #expect {
        try Self.fill(fixture)
      } throws: {
        if case RepositoryError.damaged(pack, Self.store, _) = $0 { true } else { false }
      }
      #expect(try fixture.bytes(pack, store: 1) == held)
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).count == 1)
      #expect(try Self.filler(fixture).lag().objects >= 2, "the pack and the manifest")
      fixture.stores[1].faults.withLock { $0.beforeDelete = { _ in } }
      try Self.fill(fixture)
      try Self.expectMended(pack, fixture, series, backups: 2)
    }
  }

  @Test("keeps what is marked and not damaged, and forgets the mark") func sound() throws {
    try Self.run { fixture, series in
      try Self.take(series)
      try Self.fill(fixture)
      let pack = try Self.damage(fixture) { _ in }
      let id = try PackID(pack.lastComponent)
      let mark = DamageMark(object: pack.text, reason: "a bad line", found: .now())
      try fixture.repository.putDocument(
        mark, fixture.lineage.damageMark(id), in: fixture.repository.stores[1], cancellation: Cancellation())
      fixture.stores[1].faults.withLock {
        $0.beforeDelete = { name in
          if name == pack { throw StorageError.missing(name, in: "a place where it must not be deleted") }
        }
      }
      try Self.fill(fixture)
      try Self.expectMended(pack, fixture, series, backups: 1)
    }
  }

  @Test("that holds copies gets it with the next copy, of the same backup or another", arguments: [true, false])
  func copies(isSame: Bool) throws {
    try Self.run(.onCopy) { fixture, series in
      func copy() throws -> BackupCopier.Result {
        let copier = try #require(BackupCopier(fixture.repository, to: Self.store, of: fixture.lineage.cluster))
        return try copier.run(cancellation: Cancellation()) { _ in }
      }
      try Self.take(series)
      _ = try copy()
      let pack = try Self.damage(fixture)
      #expect(try !Self.verify(fixture, series).isSound)
      if !isSame { try Self.take(series) }
      #expect(try copy().objects >= 1)
      try Self.expectMended(pack, fixture, series, backups: isSame ? 1 : 2)
    }
  }
}
