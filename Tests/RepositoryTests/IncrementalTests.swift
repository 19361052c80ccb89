import BackupModel
import BlockingWork
import Foundation
import Storage
import Testing

@testable import Repository

/// A lineage that gets one backup after another, as a daemon would take them.
final class BackupSeries {
  let fixture: RepositoryFixture
  let caches: FingerprintCaches
  var sequence: UInt64 = 0
  var warnings: [ErrorReport] = []

  init(_ fixture: RepositoryFixture) {
    self.fixture = fixture
    caches = FingerprintCaches(
      fixture.repository, fixture.lineage, directory: fixture.directory + "/fingerprints")
  }

  struct Taken {
    var backup: Backup
    var header: ManifestHeader
    var warnings: [ErrorReport]
  }

  func prepare(anew: Bool = false, checkpoints: Bool = false) throws -> (BackupWriter.Options, ManifestHeader) {
    sequence += 1
    let (parent, found) = try caches.parent(anew: anew, cancellation: Cancellation())
    warnings = found
    return (.init(parent: parent, caches: caches), fixture.header(sequence))
  }

  func take(_ contents: [Content], anew: Bool = false) throws -> Taken {
    let (options, header) = try prepare(anew: anew)
    let writer = try fixture.store(contents, options: options)
    #expect(writer.sortFiles() == nil)
    let committed = try writer.commit(header, cancellation: Cancellation())
    #expect(committed.failures.isEmpty)
    warnings += committed.warnings
    let reader = try BackupCatalog(fixture.repository).open(committed.backup.id)
    return Taken(backup: committed.backup, header: reader.header, warnings: warnings)
  }

  /// Reads every file of a backup back and compares.
  func compare(_ backup: BackupID, _ contents: [Content]) throws {
    let reader = try BackupCatalog(fixture.repository).open(backup)
    let packs = try PackReader(PackHeaders(fixture.repository, fixture.lineage))
    var paths: [String] = []
    try reader.forEachFile { file in
      paths.append(file.path)
      let content = try #require(contents.first { $0.path == file.path })
      #expect(Int(file.size) == content.size && file.checksum == content.checksum, "\(file.path)")
      #expect(try fixture.contentChecksum(file, reader, packs) == content.checksum, "\(file.path)")
    }
    #expect(paths == contents.map(\.path).sorted())
  }
}

@Suite("A backup after another") struct IncrementalTests {
  static let contents = [
    Content(path: "base/5/1", size: 300 * 8192), Content(path: "base/5/2", size: 8192 * 40 + 100),
    Content(path: "base/5/3", size: 5000), Content(path: "global/1", size: 8192),
  ]

  @Test("of the same pages stores none, and takes over the page maps")
  func unchanged() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      let first = try series.take(Self.contents)
      #expect(first.header.parent == nil && first.header.pagesChanged == first.header.pagesRead)
      #expect(first.header.newBytes == first.header.totalBytes && first.warnings.isEmpty)
      let second = try series.take(Self.contents)
      #expect(second.header.parent == first.backup.id && second.warnings.isEmpty)
      #expect(second.header.pagesChanged == 0 && second.header.pagesRead == first.header.pagesRead)
      #expect(second.header.newBytes.value == 0 && second.header.storedBytes.value == 0)
      try series.compare(second.backup.id, Self.contents)
    }
  }

  @Test("stores the changed pages, and each backup stands alone")
  func changed() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      var contents = Self.contents
      var history: [(BackupID, [Content])] = [(try series.take(contents).backup.id, contents)]
      // Written pages, a file that grows within its last page, one that shrinks, a new one, one that goes.
      contents[0].edits = [0: 1, 17: 1, 299: 1]
      let second = try series.take(contents)
      #expect(second.header.pagesChanged == 3 && second.header.newBytes.value == 3 * 8192)
      #expect(second.header.storedBytes.value < 60_000)
      history.append((second.backup.id, contents))
      contents[1].size = 8192 * 41
      contents[0].size = 100 * 8192 - 100
      contents[2].path = "base/5/4"
      let third = try series.take(contents)
      #expect(third.header.parent == second.backup.id)
      #expect(third.header.pagesChanged == 3, "the last page of two files, and the new one")
      history.append((third.backup.id, contents))
      for (backup, contents) in history { try series.compare(backup, contents) }
    }
  }

  @Test("finds its parent's cache missing, cut, flipped or of another backup, says so, and stores every page")
  func badCache() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      let first = try series.take(Self.contents)
      let path = series.caches.current
      let good = try Data(contentsOf: URL(fileURLWithPath: path))
      _ = try series.take(Self.contents)
      // Now of the backup before the newest.
      try good.write(to: URL(fileURLWithPath: path))
      let after = try series.take(Self.contents)
      #expect(after.header.parent == nil && after.header.pagesChanged == first.header.pagesRead)
      #expect(after.warnings.contains { $0.summary.contains("every page is stored anew") })
      try FileManager.default.removeItem(atPath: path)
      #expect(try series.take(Self.contents).header.parent == nil)
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      try whole.prefix(whole.count - 10).write(to: URL(fileURLWithPath: path))
      #expect(try series.take(Self.contents).header.parent == nil)
      #expect(try series.take(Self.contents).header.pagesChanged == 0)
    }
  }

  @Test("never takes over a wrong page, wherever the cache is damaged")
  func flippedCache() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      _ = try series.take(Self.contents)
      let path = series.caches.current
      var contents = Self.contents
      for round in 0..<60 {
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        bytes[Int.random(in: bytes.indices)] ^= UInt8(1 << (round % 8))
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        contents[0].edits[round] = round
        let taken = try series.take(contents)
        #expect(!taken.warnings.isEmpty || taken.header.parent != nil)
        try series.compare(taken.backup.id, contents)
      }
    }
  }

  @Test("makes the cache anew from the tables of the packs")
  func rebuild() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      var contents = Self.contents
      _ = try series.take(contents)
      contents[0].edits = [5: 1, 6: 1]
      let second = try series.take(contents)
      try FileManager.default.removeItem(atPath: series.caches.current)
      #expect(try series.caches.rebuild(cancellation: Cancellation()) == second.backup.id)
      contents[1].edits = [1: 1]
      let third = try series.take(contents)
      #expect(third.header.parent == second.backup.id && third.header.pagesChanged == 1 && third.warnings.isEmpty)
      try series.compare(third.backup.id, contents)
    }
  }

  @Test("stores anew what a store has lost")
  func lostPack() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      let series = BackupSeries(fixture)
      var contents = Self.contents
      _ = try series.take(contents)
      contents[0].edits = [9: 1]
      _ = try series.take(contents)
      let packs = try fixture.files(1, below: fixture.lineage.prefix + "/packs")
      #expect(packs.count == 2)
      for pack in packs {
        try FileManager.default.removeItem(atPath: fixture.path(fixture.lineage.pack(try PackID(pack)), store: 1))
      }
      let third = try series.take(contents)
      #expect(third.header.pagesChanged == 0 && third.header.pagesRewritten == third.header.pagesRead)
      let alone = Repository(
        id: fixture.repository.id, keys: fixture.repository.keys, stores: [fixture.repository.stores[1]])
      let report = try Verifier(repository: alone).verify(third.backup.id, depth: .full, cancellation: Cancellation())
      #expect(!report.damage.contains { !$0.reason.contains("WAL") }, "\(report.damage)")
      try series.compare(third.backup.id, contents)
    }
  }

  @Test("stores anew what a verification found damaged")
  func damagedPack() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      let contents = Self.contents
      let first = try series.take(contents)
      let pack = fixture.lineage.pack(try PackID(fixture.files(below: fixture.lineage.prefix + "/packs")[0]))
      var bytes = try fixture.bytes(pack)
      bytes[5000] ^= 1
      try fixture.replace(pack, with: bytes)
      #expect(try series.take(contents).header.storedBytes.value == 0, "nobody knows yet")
      let verifier = Verifier(repository: fixture.repository)
      let report = try verifier.verify(first.backup.id, depth: .full, cancellation: Cancellation())
      #expect(report.damage.contains { $0.object == pack.text })
      for _ in 0..<2 { try verifier.mark(report, cancellation: Cancellation()) }
      let healed = try series.take(contents)
      #expect(healed.header.pagesRewritten == healed.header.pagesRead && healed.header.pagesChanged == 0)
      try series.compare(healed.backup.id, contents)
      #expect(try series.take(contents).header.storedBytes.value == 0)
    }
  }

  @Test("keeps the space bounded when all pages change little by little, and never stores a burst")
  func compaction() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      var contents = [Content(path: "base/5/1", size: 2000 * 8192), Content(path: "base/5/2", size: 10 * 8192)]
      _ = try series.take(contents)
      var generator = SeededGenerator(state: 7)
      var last: Backup?
      for round in 1...90 {
        for _ in 0..<60 { contents[0].edits[Int.random(in: 0..<2000, using: &generator)] = round }
        let taken = try series.take(contents)
        let rewritten = taken.header.pagesRewritten ?? 0
        #expect(rewritten <= taken.header.pagesChanged)
        #expect(taken.header.storedBytes.value < Int64(taken.header.pagesChanged) * 8192 * 5 / 2)
        last = taken.backup
      }
      let backup = try #require(last)
      let reader = try BackupCatalog(fixture.repository).open(backup.id)
      let live = try reader.livePacks().filter { $0.kind == .pack }
      let used = live.reduce(0) { $0 + Int64($1.liveBytes) }
      // Pages are noise: sealed bytes are about plain bytes.
      #expect(used < backup.totalBytes.value * 5 / 2, "\(used) bytes of frames for \(backup.totalBytes.value)")
      try series.compare(backup.id, contents)
    }
  }
}

struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 29)
  }
}
