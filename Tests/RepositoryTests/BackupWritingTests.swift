import BackupModel
import BlockingWork
import Foundation
import Glibc
import Storage
import Testing

@testable import Repository

@Suite("Writing a backup") struct BackupWritingTests {
  private let few = [0, 1, 8191, 8192, 8193, 300_000].map { Content(path: "base/5/\($0)", size: $0) }

  /// Every file of a backup read back; its path and whether its content is what was stored.
  private func verify(_ fixture: RepositoryFixture, _ id: BackupID, _ contents: [Content]) throws {
    let reader = try BackupCatalog(fixture.repository).open(id)
    let packs = try PackReader(PackHeaders(fixture.repository, fixture.lineage))
    var paths: [String] = []
    try reader.forEachFile { file in
      paths.append(file.path)
      let checksum = try fixture.contentChecksum(file, reader, packs)
      #expect(checksum == file.checksum, "\(file.path)")
    }
    #expect(paths == contents.map(\.path).sorted())
  }

  @Test("keeps files of every size, across packs and frames")
  func sizes() throws {
    try RepositoryFixture.run { fixture throws in
      // 70 MB that do not compress fill more than two packs.
      let contents = few + [Content(path: "base/5/large", size: 70_000_001), Content(path: "global/1", size: 262_144)]
      let writer = try fixture.store(contents)
      #expect(writer.sortFiles() == nil)
      #expect(writer.file("base/5/8193")?.size == 8193 && writer.file("base/5/none") == nil)
      let committed = try writer.commit(fixture.header(), cancellation: Cancellation())
      let (backup, failures) = (committed.backup, committed.failures)
      #expect(failures.isEmpty && backup.missingStores.isEmpty)
      #expect(backup.totalBytes.value == contents.reduce(0) { $0 + Int64($1.size) })
      let packs = try fixture.files(below: fixture.lineage.prefix + "/packs")
      #expect(packs.count == 3)
      for pack in packs {
        let name = fixture.lineage.pack(try PackID(pack))
        let size = try #require(try fixture.repository.stores[0].objects.size(of: name))
        #expect(size <= Int64(SealedFormat.maximumObject))
      }
      let live = try BackupCatalog(fixture.repository).open(backup.id).livePacks().filter { $0.kind == .pack }
      #expect(Set(live.map(\.pack.description)) == Set(packs))
      try verify(fixture, backup.id, contents)
      let listed = try BackupCatalog(fixture.repository).list(fixture.lineage)
      #expect(listed.backups == [backup] && listed.damaged.isEmpty)
    }
  }

  @Test("closes a pack that holds as many pages as a pack may, however little they take")
  func slotLimit() throws {
    try RepositoryFixture.run { fixture throws in
      let writer = try BackupWriter(
        repository: fixture.repository, lineage: fixture.lineage, cancellation: Cancellation())
      let pages = SealedFormat.maximumSlots + 64
      try runTogether(
        Cancellation(), label: "test",
        [
          {
            let worker = try BackupWriter.Worker(writer)
            let number = writer.beginFile("z")
            let frame = PageFrame()
            frame.base.initializeMemory(as: UInt8.self, repeating: 0, count: SealedFormat.maximumFrame)
            for first in stride(from: 0, to: pages, by: 32) {
              writer.announcePiece(of: number)
              frame.slots = 32
              frame.pieces = [
                .init(
                  file: number, path: "z", firstPage: UInt32(first), slot: 0, count: 32, byteCount: 32 * 8192,
                  firstBlock: nil)
              ]
              try worker.process(frame)
            }
            try writer.endFile(
              number, .init(path: "z", kind: .file, mode: 0o600, modified: 0, size: UInt64(pages) * 8192, checksum: 0))
            try worker.finish()
            try writer.finishPages()
          }
        ] + writer.senders)
      #expect(writer.sortFiles() == nil)
      let backup = try writer.commit(fixture.header(), cancellation: Cancellation()).backup
      let reader = try BackupCatalog(fixture.repository).open(backup.id)
      #expect(try reader.livePacks().filter { $0.kind == .pack }.count == 2)
      var packs = 0
      try reader.forEachFile { packs += try reader.pageMap(of: $0).packs.count }
      #expect(packs == 2)
    }
  }

  @Test("refuses a path that is there twice, and one that leads elsewhere")
  func paths() throws {
    try RepositoryFixture.run { fixture throws in
      let twice = try fixture.store([
        Content(path: "a", size: 1), Content(path: "b", size: 1), Content(path: "a", size: 2),
      ])
      #expect(twice.sortFiles() == "a")
      for path in ["../a", "a//b", "/etc/passwd", "a/..", String(repeating: "a", count: 70_000)] {
        #expect(throws: RepositoryError.self) { try fixture.store([Content(path: path, size: 1)]) }
        let writer = try fixture.store([])
        writer.add(ManifestFile(path: path, kind: .directory, mode: 0o700, modified: 0))
        #expect(throws: RepositoryError.self) { try writer.commit(fixture.header(), cancellation: Cancellation()) }
      }
      #expect(try BackupCatalog(fixture.repository).list().backups.isEmpty)
    }
  }

  @Test("keeps entries in the order of their paths, in parts where they are many")
  func parts() throws {
    try RepositoryFixture.run { fixture throws in
      var table = FileTable()
      let count = 20_000
      for number in (0..<count).shuffled() {
        table.append(
          ManifestFile(path: "base/5/\(number)", kind: .file, mode: 0o600, modified: Int64(number), size: 0))
      }
      #expect(table.sort() == nil)
      let header = fixture.header()
      var writer = ManifestWriter(repository: fixture.repository, lineage: fixture.lineage)
      writer.entriesInOneObject = 1000
      writer.partSize = 100 << 10
      let objects = try writer.write(header, packs: [], files: table)
      #expect(objects.count >= 3 && objects.last?.0 == fixture.lineage.manifest(header.id))
      for (name, buffer) in objects { try fixture.replace(name, with: Array(buffer.bytes)) }
      let reader = try BackupReader(fixture.repository, fixture.lineage, header.id)
      #expect(reader.header.parts.count == objects.count - 1)
      var found = 0
      try reader.forEachFile { _ in found += 1 }
      #expect(found == count)
    }
  }

  @Test("records so many damaged pages that their list outgrows a frame")
  func longHeader() throws {
    try RepositoryFixture.run { fixture throws in
      let writer = try fixture.store(few)
      #expect(writer.sortFiles() == nil)
      var header = fixture.header()
      header.damagedPages = (0..<10_000).map { DamagedPage(path: "base/16384/123456", block: $0) }
      let backup = try writer.commit(header, cancellation: Cancellation()).backup
      #expect(try BackupCatalog(fixture.repository).open(backup.id).header.damagedPages == header.damagedPages)
      try verify(fixture, backup.id, few)
    }
  }

  @Test("goes on without a store that fails in the middle; the manifest is where all packs are")
  func oneStoreFails() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      fixture.stores[1].faults.withLock { $0.putsLeft = 1 }
      let contents = few + [Content(path: "base/5/large", size: 70_000_000)]
      let writer = try fixture.store(contents)
      #expect(writer.sortFiles() == nil)
      let committed = try writer.commit(fixture.header(), cancellation: Cancellation())
      let (backup, failures) = (committed.backup, committed.failures)
      #expect(backup.stores.map(\.rawValue) == ["store0"] && backup.missingStores.map(\.rawValue) == ["store1"])
      #expect(failures.keys.map(\.rawValue) == ["store1"])
      #expect(try fixture.files(1, below: fixture.lineage.backupsPrefix).isEmpty)
      let listed = try BackupCatalog(fixture.repository).list(fixture.lineage)
      #expect(listed.backups == [backup])
      try verify(fixture, backup.id, contents)
    }
  }

  @Test("ends where every store fails, with the reason, and leaves no object")
  func everyStoreFails() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      for (number, store) in fixture.stores.enumerated() { store.faults.withLock { $0.putsLeft = number } }
      let contents = few + [Content(path: "base/5/large", size: 200_000_000)]
      #expect { try fixture.store(contents) } throws: { "\(ErrorReport($0))".contains("the disk is gone") }
      for store in 0...1 { #expect(try fixture.files(store, below: "clusters").isEmpty) }
    }
  }

  @Test("leaves no object where it is cancelled")
  func cancelled() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      let cancellation = Cancellation()
      fixture.stores[1].faults.withLock { $0.beforePut = { _ in cancellation.cancel() } }
      #expect(throws: CancellationError.self) {
        try fixture.store([Content(path: "large", size: 200_000_000)], cancellation: cancellation)
      }
      for store in 0...1 { #expect(try fixture.files(store, below: "clusters").isEmpty) }
    }
  }

  /// What a commit must never do: take away the packs of a manifest that is already there.
  @Test("is a backup once one store has the manifest, also where the run is cancelled before the next")
  func cancelledBetweenStores() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      let cancellation = Cancellation()
      let writer = try fixture.store(few, cancellation: cancellation)
      #expect(writer.sortFiles() == nil)
      fixture.stores[1].faults.withLock { $0.beforePut = { _ in cancellation.cancel() } }
      let committed = try writer.commit(fixture.header(), cancellation: cancellation)
      let (backup, failures) = (committed.backup, committed.failures)
      #expect(backup.stores.map(\.rawValue) == ["store0"] && failures.count == 1)
      try verify(fixture, backup.id, few)
    }
  }

  @Test("takes a manifest back that cannot be read back")
  func manifestNotReadBack() throws {
    try RepositoryFixture.run { fixture throws in
      let writer = try fixture.store(few)
      #expect(writer.sortFiles() == nil)
      let store = fixture.stores[0]
      store.faults.withLock { $0.beforeRead = { throw store.failure($0) } }
      #expect(throws: StorageError.self) { try writer.commit(fixture.header(), cancellation: Cancellation()) }
      writer.discard()
      #expect(try fixture.files(below: "clusters").isEmpty)
    }
  }

  @Test("keeps the packs of a manifest that can neither be read back nor taken back")
  func manifestStuck() throws {
    try RepositoryFixture.run { fixture throws in
      let writer = try fixture.store(few)
      #expect(writer.sortFiles() == nil)
      let store = fixture.stores[0]
      store.faults.withLock { faults in
        faults.beforeRead = { throw store.failure($0) }
        faults.beforeDelete = { throw store.failure($0) }
      }
      let header = fixture.header()
      #expect(throws: StorageError.self) { try writer.commit(header, cancellation: Cancellation()) }
      store.faults.withLock { $0 = FaultyStore.Faults() }
      writer.discard()
      try verify(fixture, header.id, few)
    }
  }

  @Test("reads each damaged object from the other store, and names it where there is no other")
  func fallsOver() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      let writer = try fixture.store(few)
      #expect(writer.sortFiles() == nil)
      let backup = try writer.commit(fixture.header(), cancellation: Cancellation()).backup
      for file in try fixture.files(below: fixture.lineage.prefix) {
        let name = ObjectName(composed: fixture.lineage.prefix + "/" + file)
        let good = try fixture.bytes(name)
        // Header and first frame; table and footer, which a restore of a pack's frames does not need.
        for place in [0, 40, 70] + (file.hasPrefix("packs/") ? [] : [good.count - 40, good.count - 1]) {
          var changed = good
          changed[place] ^= 4
          try fixture.replace(name, with: changed)
          try verify(fixture, backup.id, few)
          try fixture.replace(name, store: 1, with: changed)
          #expect("\(name) byte \(place)") { try self.verify(fixture, backup.id, self.few) } throws: {
            "\(ErrorReport($0))".contains(name.text)
          }
          for store in 0...1 { try fixture.replace(name, store: store, with: good) }
        }
        #expect(unlink(fixture.path(name)) == 0)
        try verify(fixture, backup.id, few)
        try fixture.replace(name, with: good)
      }
    }
  }

  @Test("lists what is whole beside what is damaged, and numbers the next backup above both")
  func damagedNeighbour() throws {
    try RepositoryFixture.run { fixture throws in
      var ids: [BackupID] = []
      for sequence in 1...3 as ClosedRange<UInt64> {
        let writer = try fixture.store(few)
        #expect(writer.sortFiles() == nil)
        ids.append(try writer.commit(fixture.header(sequence), cancellation: Cancellation()).backup.id)
      }
      let name = fixture.lineage.manifest(ids[2])
      try fixture.replace(name, with: Array(try fixture.bytes(name).dropLast(9)))
      let catalog = BackupCatalog(fixture.repository)
      let listed = try catalog.list(fixture.lineage)
      #expect(listed.backups.map(\.id) == Array(ids[..<2]) && listed.damaged.map(\.backup) == [ids[2]])
      let newest = try #require(try catalog.newest(fixture.lineage, now: ids[2].started))
      #expect(newest.id == ids[2] && newest.sequence >= 3)
      #expect(throws: RepositoryError.self) { try catalog.open(ids[2]) }
      #expect {
        try catalog.open(BackupID(started: .now()))
      } throws: {
        if case RepositoryError.backupMissing = $0 { true } else { false }
      }
      // A manifest under another backup's name is not that backup.
      try fixture.replace(fixture.lineage.manifest(ids[1]), with: fixture.bytes(fixture.lineage.manifest(ids[0])))
      #expect(try catalog.list(fixture.lineage).backups.map(\.id) == [ids[0]])
    }
  }

  @Test("a put that finds its own bytes there is done; other bytes are left alone")
  func putAgain() throws {
    try RepositoryFixture.run { fixture throws in
      let (store, name) = (fixture.repository.stores[0], fixture.lineage.pack(.random()))
      func put(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try StoreWriter.put(name, $0, in: store, cancellation: Cancellation()) }
      }
      try put([1, 2, 3])
      try put([1, 2, 3])
      for other in [[1, 2, 4], [1], [1, 2, 3, 4], []] as [[UInt8]] {
        #expect { try put(other) } throws: { if case StorageError.alreadyExists = $0 { true } else { false } }
      }
      #expect(try fixture.bytes(name) == [1, 2, 3])
    }
  }
}
