import BackupModel
import Objectives
import Testing

/// 2026-11-02 12:00:00Z, and what the stores hold then.
private enum Noon {
  static let now = try! Timestamp(rfc3339: "2026-11-02T12:00:00Z")
  static let backup = try! BackupID("20261102T020000Z-kqwzxmbt")
  static let local = StoreID(unchecked: "local")
  static let cloud = StoreID(unchecked: "cloud")

  static func ago(_ seconds: Int64) -> Timestamp { now - .seconds(seconds) }

  static func store(
    _ id: StoreID = local, to seconds: Int64, lsn: UInt64 = 0x300, hasWAL: Bool = true,
    live: (lsn: UInt64, loss: Double)? = nil
  ) -> ClusterFacts.Store {
    var store = ClusterFacts.Store(
      store: id, backup: backup, to: ago(seconds), toLSN: LSN(lsn), hasWAL: hasWAL)
    store.live = live.map { .init(end: LSN($0.lsn), clock: ago(Int64($0.loss)), lossSeconds: $0.loss) }
    return store
  }
}

@Suite("Ways back to the present") struct RecoveryRoadsTests {
  @Test(
    "lose what has passed since their end",
    arguments: [
      // No backup at all: no way.
      ([], nil, nil, nil),
      // A base backup alone.
      ([Noon.store(to: 3600, hasWAL: false)], nil, .physical, 3600.0),
      // WAL that is not heard of now: what the listing tells.
      ([Noon.store(to: 90)], nil, .wal, 90),
      // A listing from ten minutes ago, and live WAL that goes on from it.
      ([Noon.store(to: 600, live: (0x400, 4))], 0x200, .wal, 4),
      // A gap between the two: the live WAL is of no use.
      ([Noon.store(to: 600, live: (0x600, 4))], 0x500, .wal, 600),
      // The store's WAL ends exactly where the run begins.
      ([Noon.store(to: 600, live: (0x400, 4))], 0x300, .wal, 4),
      // A receiver that begins again and has been told of less than the store lists.
      ([Noon.store(to: 20, live: (0x280, 50))], 0x200, .wal, 20),
      // An idle server: nothing new in the WAL, and its clock goes on.
      ([Noon.store(to: 300, live: (0x300, 2))], 0x200, .wal, 2),
      // The nearer of two stores.
      ([Noon.store(Noon.cloud, to: 30), Noon.store(to: 90)], nil, .wal, 30),
      // Clocks that differ by seconds: nothing is lost, and not less than nothing.
      ([Noon.store(to: -20)], nil, .wal, 0),
    ] as [([ClusterFacts.Store], UInt64?, RecoveryRoad.Means?, Double?)])
  func loss(stores: [ClusterFacts.Store], heldFrom: UInt64?, means: RecoveryRoad.Means?, seconds: Double?) {
    let facts = ClusterFacts(now: Noon.now, heldFrom: heldFrom.map { LSN($0) }, stores: stores)
    let best = RecoveryRoads.roads(facts).first
    #expect(best?.means == means && best?.lossSeconds == seconds)
  }

  @Test("say nothing of a loss where their end lies in the future, and come last then")
  func future() {
    let facts = ClusterFacts(now: Noon.now, stores: [Noon.store(Noon.cloud, to: -7200), Noon.store(to: 500)])
    let roads = RecoveryRoads.roads(facts)
    #expect(roads.map(\.store) == [Noon.local, Noon.cloud] && roads.map(\.lossSeconds) == [500, nil])
  }

  @Test("do not depend on the wall clock where WAL is heard of: it may be set back by a day")
  func clockSetBack() {
    let facts = ClusterFacts(
      now: Noon.ago(86400), heldFrom: LSN(0x200), stores: [Noon.store(to: 10, live: (0x400, 7))])
    #expect(RecoveryRoads.roads(facts).first?.lossSeconds == 7)
  }

  @Test("lead over the landing directory only where a store's backup and WAL lead to it")
  func landing() {
    let live = ClusterFacts.LiveWAL(end: LSN(0x500), clock: Noon.ago(1), lossSeconds: 1)
    var facts = ClusterFacts(
      now: Noon.now, heldFrom: LSN(0x200), landing: live, stores: [Noon.store(to: 40, live: (0x400, 9))])
    #expect(RecoveryRoads.roads(facts).map(\.store) == [nil, Noon.local])
    #expect(RecoveryRoads.roads(facts).first?.backup == Noon.backup)
    facts.heldFrom = LSN(0x450)
    #expect(RecoveryRoads.roads(facts).map(\.store) == [Noon.local])
    facts.stores = []
    #expect(RecoveryRoads.roads(facts).isEmpty)
  }

  @Test("over logical backups count for tiers whose tables all are in one")
  func logical() {
    func dump(_ seconds: Int64, _ tables: Set<String>?) -> ClusterFacts.Logical {
      .init(backup: Noon.backup, at: Noon.ago(seconds), stores: [Noon.local], tables: tables)
    }
    var facts = ClusterFacts(now: Noon.now, stores: [Noon.store(to: 3600, hasWAL: false)])
    facts.logical = [dump(900, nil), dump(120, ["tokens", "sessions"]), dump(300, ["tokens"]), dump(60, ["audit"])]
    func best(_ tables: Set<String>?) -> Double? { RecoveryRoads.roads(facts, tables: tables).first?.lossSeconds }
    #expect(best(["tokens"]) == 120)
    #expect(best(["tokens", "sessions"]) == 120)
    #expect(best(["tokens", "audit"]) == 900)
    #expect(best(["audit"]) == 60)
    // A whole cluster is more than its tables.
    #expect(best(nil) == 3600 && best([]) == 3600)
  }
}

@Suite("The time a restore takes") struct RecoveryTimeTests {
  private func drill(
    _ day: Int64, restore: Double = 40, replay: Double = 10, gigabytes: Int64 = 2, wal: Int64 = 1 << 30
  ) -> MeasuredRecovery {
    MeasuredRecovery(
      restoreSeconds: restore, replaySeconds: replay, startSeconds: 2, bytes: ByteCount(gigabytes << 30),
      walBytes: ByteCount(wal), at: Noon.now - .seconds(day * 86400))
  }

  @Test("is not known where none was measured") func unknown() {
    #expect(RecoveryTime.estimate([], bytes: ByteCount(1 << 30), walBytes: nil) == nil)
  }

  @Test("grows with the size and with the WAL, and says so") func scales() throws {
    let time = try #require(
      RecoveryTime.estimate([drill(7)], bytes: ByteCount(4 << 30), walBytes: ByteCount(512 << 20)))
    #expect(time.seconds == 80 + 5 + 2)
    #expect(
      time.basis
        == "drill of 2026-10-26T12:00:00Z: 2.0 GiB in 40s, 1.0 GiB of WAL in 10s, started in 2s; today 4.0 GiB and 512.0 MiB of WAL"
    )
  }

  @Test("is that of the slowest of the last three drills") func slowest() {
    let drills = [drill(30, restore: 500), drill(21, restore: 60), drill(14), drill(7, restore: 50)]
    #expect(RecoveryTime.estimate(drills, bytes: nil, walBytes: nil)?.seconds == 72.0)
  }

  @Test("is not scaled by a part that was too small to be timed") func tooSmall() {
    let time = RecoveryTime.estimate([drill(7, wal: 0)], bytes: nil, walBytes: ByteCount(10 << 30))
    #expect(time?.seconds == 52)
  }
}
