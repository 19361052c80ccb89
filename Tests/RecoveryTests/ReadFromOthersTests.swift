import BackupModel
import BlockingWork
import Foundation
import Recovery
import Repository
import Storage
import TestSupport
import Testing

@Suite("A restore from several stores") struct ReadFromOthersTests {
  @Test("reads what one has damaged from another, and says so in its report") func told() throws {
    try TemporaryDirectory.run { directory in
      let made = try FabricatedRepository(directory)
      try made.storeWAL(1, clock: 10, [.commit(offset: 5000, xid: 1, at: 10)])
      try made.backUp(start: FabricatedRepository.lsn(1, 40), stop: FabricatedRepository.lsn(1, 4000))
      try FileManager.default.copyItem(atPath: directory + "/store", toPath: directory + "/second")
      let second = RepositoryStore(id: try StoreID("second"), objects: PosixStore(root: directory + "/second"))
      let both = try Repository.open(stores: made.repository.stores + [second], unlocking: .unwrapped)
      func restore(into name: String) throws -> RestoreReport {
        let options = try made.options(into: name)
        let plan = try RestorePlanner(repository: both).plan(options)
        return try Restorer(repository: both, options: options, plan: plan).run(cancellation: Cancellation())
      }
      let before = try restore(into: "before").warnings
      let packs = directory + "/store/" + made.lineage.packsPrefix
      let pack = packs + "/" + (try #require(try FileManager.default.contentsOfDirectory(atPath: packs).first))
      var bytes = try Data(contentsOf: URL(filePath: pack))
      bytes[100] ^= 0x10
      try bytes.write(to: URL(filePath: pack))
      let after = try restore(into: "after").warnings
      #expect(after.count == before.count + 1)
      #expect(after.last?.contains("store \"local\" lacked or had damaged 1 object") == true, "\(after)")
      #expect(after.last?.contains("backupctl verify --store local --full") == true, "\(after)")
    }
  }

  @Test("tells PostgreSQL's log of WAL that one store has damaged") func wal() throws {
    try TemporaryDirectory.run { directory in
      let made = try FabricatedRepository(directory)
      try made.storeWAL(1, clock: 10)
      try made.backUp(start: FabricatedRepository.lsn(1, 40), stop: FabricatedRepository.lsn(1, 4000))
      try FileManager.default.copyItem(atPath: directory + "/store", toPath: directory + "/second")
      let second = RepositoryStore(id: try StoreID("second"), objects: PosixStore(root: directory + "/second"))
      let both = try Repository.open(stores: made.repository.stores + [second], unlocking: .unwrapped)
      let size = try WALSegmentSize(bytes: FabricatedRepository.segment)
      let segment = WALSegment(timeline: TimelineID(1), number: 1)
      let object = "\(directory)/store/\(made.lineage.walSegment(segment, size: size))"
      func fetch() -> WALFetch {
        WALFetch(
          repository: both, cluster: made.lineage.cluster,
          until: WALPosition(timeline: TimelineID(1), lsn: FabricatedRepository.lsn(1, 4000)), directory: directory)
      }
      let sound = fetch()
      #expect(sound.fetch(segment.name(size: size), to: directory + "/fetched").exitCode == 0)
      #expect(sound.warnings.isEmpty)
      var bytes = try Data(contentsOf: URL(filePath: object))
      bytes[100] ^= 0x10
      try bytes.write(to: URL(filePath: object))
      let damaged = fetch()
      #expect(damaged.fetch(segment.name(size: size), to: directory + "/fetched").exitCode == 0)
      #expect(damaged.warnings.count == 1 && damaged.warnings[0].contains("store \"local\""), "\(damaged.warnings)")
      // Where it is not yet, it may be on its way.
      try FileManager.default.removeItem(atPath: object)
      let late = fetch()
      #expect(late.fetch(segment.name(size: size), to: directory + "/fetched").exitCode == 0)
      #expect(late.warnings.isEmpty, "\(late.warnings)")
    }
  }
}
