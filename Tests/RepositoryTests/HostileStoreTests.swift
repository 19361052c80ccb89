import BackupModel
import BlockingWork
import Foundation
import Storage
import TestSupport
import Testing

@testable import KeyManagement
@testable import Repository

/// Who has the append-only keys of a store can put any object there that is not there yet.
@Suite("An object that somebody put into a store") struct HostileStoreTests {
  private static let far = BackupID(started: Timestamp(seconds: 253_402_300_799))

  @Test("below keys/ hinders no other key, is named, and goes into no other store")
  func envelopes() throws {
    try TemporaryDirectory.run { directory in
      let key = try KeyFile.create(directory + "/key")
      let stores = RepositoryFixture.named(
        ["a", "b", "new"].map { PosixStore(root: "\(directory)/\($0)", makesRoot: true) })
      let made = try Repository.create(
        in: Array(stores[..<2]), unlocking: .keyFile(key), cancellation: Cancellation())
      func put(_ name: String, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes {
          try stores[0].objects.put(ObjectName(composed: name), $0, cancellation: Cancellation())
        }
      }
      func open() throws -> Repository {
        try Repository.open(stores: Array(stores[..<2]), unlocking: .keyFile(key))
      }
      // One that would be the newest, one that is no document, and one that only lies beside ours.
      var forged = try #require(try made.recipients().first?.envelope)
      forged.key = .random()
      forged.sequence = 9
      let names = ["keys/\(forged.key)/key-file-\(key.id).json", "keys/\(KeyID.random())/key-file-\(key.id).json"]
      try put(names[0], try CheckedDocument.encodePlain(forged))
      try put(names[1], [1, 2, 3])
      try put("keys/\(made.keys.current.id)/key-file-00000000.json", [4])
      let opened = try open()
      #expect(opened.keys.current.id == made.keys.current.id)
      #expect(Set(opened.keys.unopened.map(\.envelope)) == Set(names))
      #expect(opened.keys.unopened.allSatisfy { $0.cause.summary.contains($0.envelope) }, "\(opened.keys.unopened)")

      _ = try Repository.add(
        [stores[2]], to: Array(stores[..<2]), unlocking: .keyFile(key), cancellation: Cancellation())
      #expect(try stores[2].objects.list(below: "keys").prefixes == ["\(made.keys.current.id)"])
      let copied = try stores[2].objects.list(below: "keys/\(made.keys.current.id)").objects.map(\.name.lastComponent)
      #expect(copied == ["key-file-\(key.id).json"])

      // Where none opens each is told of.
      for store in ["a", "b"] {
        try FileManager.default.removeItem(
          atPath: "\(directory)/\(store)/keys/\(made.keys.current.id)/key-file-\(key.id).json")
      }
      let error = try #require(throws: KeyError.self) { try open() }
      let detail = try #require(ErrorReport(error).detail)
      #expect(names.allSatisfy { detail.contains($0) }, "\(detail)")
    }
  }

  @Test("with the last number there can be traps nothing, and holds up its own backup alone")
  func numbers() throws {
    let id = BackupID(started: .now())
    for number in ["0", "-1", "01", "1000001", "9223372036854775807", "99999999999999999999"] {
      #expect(NumberedBackup(component: "\(id)-\(number)") == nil, "\(number)")
    }
    #expect(NumberedBackup(component: "\(id)-1000000")?.number == 1_000_000)
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(4, using: &generator)
      let held = pruned.taken[0].backup
      for number in [1_000_000, Int.max] { try fixture.replace(fixture.lineage.tombstone(held, number), with: [1]) }
      try fixture.replace(fixture.lineage.checkpoint(held, Int.max), with: [1])
      #expect { try pruned.delete(held) } throws: {
        if case RetentionError.lastWordTaken(let name) = $0 { name.hasSuffix("-1000000") } else { false }
      }
      let report = try pruned.prune(policy: .init(count: 2))
      #expect(report.error == nil, "\(String(describing: report.error))")
      #expect(try pruned.catalog.list().backups.map { $0.deleted == nil } == [true, false, true, true])
      #expect(report.entries.contains { $0.name == held.text && $0.reason.contains("-1000000") })
    }
  }

  @Test("under an id far ahead of the clock is not the newest backup, and ids go on")
  func ids() throws {
    try RepositoryFixture.run { fixture throws in
      let now = Timestamp(seconds: 1_793_577_600 + 100)
      let catalog = BackupCatalog(fixture.repository)
      var last: BackupID?
      for sequence in 1...2 as ClosedRange<UInt64> {
        let writer = try fixture.store([Content(path: "base/5/1", size: 8192)])
        #expect(writer.sortFiles() == nil)
        last = try writer.commit(fixture.header(sequence), cancellation: Cancellation()).backup.id
      }
      try fixture.replace(fixture.lineage.manifest(Self.far), with: [1])
      try fixture.replace(fixture.lineage.checkpoint(Self.far, 1), with: [1])
      let newest = try #require(try catalog.newest(fixture.lineage, now: now))
      #expect(newest.id == last && newest.sequence == 2)
      #expect(try RunCheckpoint.list(fixture.repository, fixture.lineage, now: now).isEmpty)
      // Backups of ours that lie ahead count: the clock was set back.
      let early = try #require(try catalog.newest(fixture.lineage, now: now - day * 400))
      #expect(early.id == last && early.sequence == 2)
    }
  }

  @Test("marks no pack as damaged, and what is found damaged in spite of it is said")
  func marks() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      let contents = IncrementalTests.contents
      let first = try series.take(contents)
      let packs = try fixture.files(below: fixture.lineage.packsPrefix)
      for name in packs + (try fixture.files(below: fixture.lineage.metadataPrefix)) {
        try fixture.replace(fixture.lineage.damageMark(try PackID(name)), with: [1, 2, 3])
      }
      #expect(try series.take(contents).header.storedBytes.value == 0)
      #expect(try fixture.repository.damagedPacks(of: fixture.lineage.cluster).isEmpty)

      let pack = fixture.lineage.pack(try PackID(packs[0]))
      var bytes = try fixture.bytes(pack)
      bytes[5000] ^= 1
      try fixture.replace(pack, with: bytes)
      let verifier = Verifier(repository: fixture.repository)
      let report = try verifier.verify(first.backup.id, depth: .full, cancellation: Cancellation())
      #expect {
        try verifier.mark(report, cancellation: Cancellation())
      } throws: {
        ($0 as? RepositoryError)?.summary.contains("/damage/\(packs[0])") == true
      }
    }
  }

  @Test("below gaps/ or wal/ hides no gap and no segment")
  func gaps() throws {
    try RepositoryFixture.run { fixture throws in
      let store = fixture.repository.stores[0]
      let gap = WALGap(timeline: TimelineID(1), first: LSN(100), end: LSN(200), reason: "lost")
      try fixture.repository.putGap(gap, of: fixture.lineage, in: store, cancellation: Cancellation())
      let junk = fixture.lineage.gap(.random())
      try fixture.replace(junk, with: [1])
      try fixture.replace(
        ObjectName(composed: fixture.lineage.walPrefix + "/00000001/000000010000000000000000"), with: [1])
      let size = try WALSegmentSize(bytes: 1 << 20)
      try fixture.putSegment(WALSegment(timeline: TimelineID(1), number: 5), size: size)
      let catalog = try WALCatalog(fixture.repository, fixture.lineage)
      #expect(catalog.segmentSize == size)
      let found = try catalog.gaps()
      #expect(found.rows.contains { $0.isRecorded && $0.reason == "lost" })
      #expect(found.unreadable.count == 1 && found.unreadable[0].summary.contains(junk.text), "\(found.unreadable)")
    }
  }
}

extension RepositoryFixture {
  /// Puts a whole segment of zeros into the first store.
  func putSegment(_ segment: WALSegment, size: WALSegmentSize) throws {
    let name = lineage.walSegment(segment, size: size)
    let index = WALIndex(timeline: segment.timeline, first: segment.start(size: size), end: segment.end(size: size))
    let buffer = SealedBuffer(capacity: 1 << 20)
    let zeros = [UInt8](repeating: 0, count: SealedFormat.maximumFrame)
    try repository.sealWAL(.walSegment, name, index: index, into: buffer) { append in
      for _ in 0..<(Int(size.bytes) / zeros.count) { try zeros.withUnsafeBytes { try append($0) } }
    }
    try replace(name, with: Array(buffer.bytes))
  }
}
