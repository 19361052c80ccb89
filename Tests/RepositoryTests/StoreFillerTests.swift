import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import Testing

@testable import Repository

@Suite("A store that lags") struct StoreFillerTests {
  /// The second store follows the first.
  private static func run(keep: RetentionPolicy? = nil, _ body: (RepositoryFixture) throws -> Void) throws {
    func following(_ stores: [RepositoryStore]) -> [RepositoryStore] {
      [stores[0], RepositoryStore(id: stores[1].id, objects: stores[1].objects, durability: .eventual, keep: keep)]
    }
    try RepositoryFixture.run(stores: 2, change: following, body)
  }

  private static func filler(_ fixture: RepositoryFixture) throws -> StoreFiller {
    try #require(StoreFiller(fixture.repository, fixture.repository.stores[1].id, rules: [:]))
  }

  private func fill(_ fixture: RepositoryFixture) throws {
    try Self.filler(fixture).fill(cancellation: Cancellation()) { _ in }
  }

  @Test("gets what its backups need and then their manifests, and is as whole as the others")
  func fills() throws {
    try Self.run { fixture in
      var generator = SystemRandomNumberGenerator()
      let taken = PrunedSeries(fixture)
      try taken.take(4, using: &generator)
      #expect(try fixture.files(1, below: fixture.lineage.prefix).isEmpty, "nobody waits for it")
      let lag = try Self.filler(fixture).lag()
      #expect(lag.objects > 8 && lag.bytes > 0 && lag.since != nil)
      try fill(fixture)
      #expect(try Self.filler(fixture).lag() == StoreLag())
      for part in ["packs", "metadata", "backups"] {
        let below = fixture.lineage.prefix + "/" + part
        #expect(try fixture.files(1, below: below) == fixture.files(0, below: below))
      }
      // It restores alone.
      try FileManager.default.removeItem(atPath: fixture.directory + "/store0/" + fixture.lineage.prefix)
      try taken.compareRest()
    }
  }

  @Test("that fails at any put is whole or lacks the backup, and is filled later")
  func interrupted() throws {
    for failing in 1...6 {
      try Self.run { fixture in
        var generator = SystemRandomNumberGenerator()
        let taken = PrunedSeries(fixture)
        try taken.take(2, using: &generator)
        fixture.stores[1].faults.withLock { $0.putsLeft = failing - 1 }
        #expect(throws: StorageError.self) { try fill(fixture) }
        fixture.stores[1].faults.withLock { $0.putsLeft = .max }
        // What is listed there is whole there.
        let single = Repository(
          id: fixture.repository.id, keys: fixture.repository.keys,
          stores: [RepositoryStore(id: fixture.repository.stores[1].id, objects: fixture.stores[1])])
        for backup in try BackupCatalog(single).list().backups {
          let report = try Verifier(repository: single).verify(backup.id, depth: .full, cancellation: Cancellation())
          #expect(report.isSound, "after put \(failing): \(report.damage)")
        }
        try fill(fixture)
        #expect(try BackupCatalog(single).list().backups.count == 2)
      }
    }
  }

  @Test("never gets what is damaged elsewhere")
  func damaged() throws {
    try Self.run { fixture in
      var generator = SystemRandomNumberGenerator()
      let taken = PrunedSeries(fixture)
      try taken.take(1, using: &generator)
      let pack = try #require(try fixture.stores[0].list(below: fixture.lineage.packsPrefix).objects.first?.name)
      var bytes = try fixture.bytes(pack)
      bytes[bytes.count / 2] ^= 1
      try fixture.replace(pack, with: bytes)
      #expect(throws: RepositoryError.self) { try fill(fixture) }
      #expect(try fixture.stores[1].size(of: pack) == nil)
      #expect(try fixture.files(1, below: fixture.lineage.prefix + "/backups").isEmpty)
    }
  }

  @Test("gets what is whole although another backup is not") func partly() throws {
    try Self.run { fixture in
      var generator = SystemRandomNumberGenerator()
      let taken = PrunedSeries(fixture)
      try taken.take(1, using: &generator)
      let old = Set(try fixture.files(0, below: fixture.lineage.packsPrefix))
      try taken.take(1, using: &generator)
      let new = try #require(try fixture.files(0, below: fixture.lineage.packsPrefix).first { !old.contains($0) })
      try FileManager.default.removeItem(atPath: "\(fixture.directory)/store0/\(fixture.lineage.packsPrefix)/\(new)")
      #expect(throws: StorageError.self) { try fill(fixture) }
      let first = fixture.lineage.manifest(taken.taken[0].backup).lastComponent
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix) == [first])
    }
  }

  @Test("gets no manifest while a prune goes on, and holds one up while it gets them") func pruned() throws {
    try Self.run { fixture in
      var generator = SystemRandomNumberGenerator()
      let taken = PrunedSeries(fixture)
      try taken.take(1, using: &generator)
      let prune = try Lease(.prune, fixture.repository, fixture.lineage, cancellation: Cancellation())
      try fill(fixture)
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).isEmpty)
      prune.release()
      let seen = Mutex(false)
      fixture.stores[1].faults.withLock {
        $0.beforePut = { _ in
          let live = try Lease.list(fixture.repository, fixture.lineage, at: .now()).live
          if live.contains(where: { $0.purpose == .backup }) { seen.withLock { $0 = true } }
        }
      }
      try fill(fixture)
      #expect(seen.withLock { $0 })
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).count == 1)
      #expect(try Lease.list(fixture.repository, fixture.lineage, at: .now()).live.isEmpty)
    }
  }

  @Test("with a keep of its own drops copies that the others have, gets none of them back, and keeps the newest")
  func ownKeep() throws {
    let keep = RetentionPolicy(count: 1)
    try Self.run(keep: keep) { fixture in
      var generator = SystemRandomNumberGenerator()
      let taken = PrunedSeries(fixture)
      try taken.take(3, using: &generator)
      let job = JobID(unchecked: "nightly")
      let rules = [fixture.lineage.cluster: RetentionRules(policies: [job: nil], recoveryWindow: nil)]
      let store = fixture.repository.stores[1].id
      let filler = try #require(StoreFiller(fixture.repository, store, rules: rules))
      try filler.fill(cancellation: Cancellation()) { _ in }
      let newest = fixture.lineage.manifest(taken.taken[2].backup).lastComponent
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix) == [newest])
      try taken.take(1, using: &generator)
      try filler.fill(cancellation: Cancellation()) { _ in }
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).count == 2)
      _ = try taken.prune(later: .zero, policy: nil)
      let last = fixture.lineage.manifest(taken.taken[3].backup).lastComponent
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix) == [last])
      #expect(try fixture.files(0, below: fixture.lineage.backupsPrefix).count == 4)
      #expect(try filler.lag() == StoreLag())
    }
  }

  @Test("that is the mount point of a disk that is away is not filled")
  func unmounted() throws {
    try Self.run { fixture in
      try FileManager.default.removeItem(atPath: fixture.directory + "/store1")
      try FileManager.default.createDirectory(atPath: fixture.directory + "/store1", withIntermediateDirectories: true)
      #expect { try fill(fixture) } throws: {
        if case RepositoryError.missingRepository = $0 { true } else { false }
      }
      #expect(try fixture.files(1).isEmpty)
    }
  }

  @Test("that is added to a repository is made part of it, and filled")
  func added() throws {
    try RepositoryFixture.run { fixture in
      var generator = SystemRandomNumberGenerator()
      let taken = PrunedSeries(fixture)
      try taken.take(2, using: &generator)
      let new = RepositoryStore(
        id: StoreID(unchecked: "new"), objects: PosixStore(root: fixture.directory + "/new", makesRoot: true))
      let id = try Repository.add(
        [new], to: fixture.repository.stores, unlocking: .unwrapped, cancellation: Cancellation())
      #expect(id == fixture.repository.id)
      #expect(throws: RepositoryError.self) {
        try Repository.add([new], to: fixture.repository.stores, unlocking: .unwrapped, cancellation: Cancellation())
      }
      let both = try Repository.open(stores: fixture.repository.stores + [new], unlocking: .unwrapped)
      // As a required one: it counts when it has everything.
      #expect(try BackupCatalog(both).list().backups.allSatisfy { $0.missingStores == [new.id] })
      let filler = try #require(StoreFiller(both, new.id, rules: [:]))
      try filler.fill(cancellation: Cancellation()) { _ in }
      let alone = try Repository.open(stores: [new], unlocking: .unwrapped)
      #expect(try BackupCatalog(alone).list().backups.isEmpty, "what is younger than a minute is left to its writer")
      let patient = StoreFiller(both, new.id, rules: [:], now: { .now() + .seconds(120) })
      try patient?.fill(cancellation: Cancellation()) { _ in }
      #expect(try BackupCatalog(alone).list().backups.count == 2)
    }
  }
}
