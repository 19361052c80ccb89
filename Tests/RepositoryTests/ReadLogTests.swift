import BackupModel
import BlockingWork
import Foundation
import Storage
import Testing

@testable import Repository

@Suite("What one store could not give and another gave") struct ReadLogTests {
  /// Both stores have one backup.
  /// - Parameter durability: Of the first store, which is asked first.
  private static func run(
    _ durability: Durability, _ body: (RepositoryFixture, PrunedSeries) throws -> Void
  ) throws {
    func change(_ stores: [RepositoryStore]) -> [RepositoryStore] {
      [RepositoryStore(id: stores[0].id, objects: stores[0].objects, durability: durability), stores[1]]
    }
    try RepositoryFixture.run(stores: 2, change: change) { fixture in
      let series = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try series.take(1, using: &generator)
      let filler = try #require(StoreFiller(fixture.repository, fixture.repository.stores[0].id, rules: [:]))
      try filler.fill(cancellation: Cancellation()) { _ in }
      try body(fixture, series)
    }
  }

  /// Reads a backup as a restore does.
  private static func warnings(_ fixture: RepositoryFixture, _ series: PrunedSeries) throws -> [String] {
    let log = ReadLog()
    let repository = fixture.repository.noting(in: log)
    let reader = try BackupReader(repository, fixture.lineage, try #require(series.taken.last?.backup))
    let packs = try PackReader(PackHeaders(repository, fixture.lineage))
    try reader.forEachFile { (file) throws in
      #expect(try fixture.contentChecksum(file, reader, packs) == file.checksum)
    }
    return log.warnings
  }

  private static func pack(_ fixture: RepositoryFixture) throws -> ObjectName {
    try #require(try fixture.stores[0].list(below: fixture.lineage.packsPrefix).objects.first?.name)
  }

  @Test("is told where it is damaged", arguments: [Durability.required, .eventual]) func damaged(
    durability: Durability
  ) throws {
    try Self.run(durability) { fixture, series in
      #expect(try Self.warnings(fixture, series).isEmpty)
      let pack = try Self.pack(fixture)
      var bytes = try fixture.bytes(pack)
      bytes[bytes.count / 2] ^= 1
      try fixture.replace(pack, with: bytes)
      let warnings = try Self.warnings(fixture, series)
      #expect(warnings.count == 1)
      for part in ["\"store0\"", "1 object", pack.text, "backupctl verify --store store0 --full"] {
        #expect(warnings.first?.contains(part) == true, "\(warnings)")
      }
    }
  }

  @Test("is told where it is missing and should not be", arguments: [Durability.required, .eventual]) func missing(
    durability: Durability
  ) throws {
    try Self.run(durability) { fixture, series in
      try FileManager.default.removeItem(atPath: fixture.path(try Self.pack(fixture)))
      #expect(try Self.warnings(fixture, series).isEmpty == (durability == .eventual))
    }
  }
}
