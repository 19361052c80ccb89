import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import Testing

@testable import Repository

/// A series of backups and a prune at any time.
final class PrunedSeries {
  let series: BackupSeries
  private(set) var taken: [(backup: BackupID, contents: [Content])] = []
  var fixture: RepositoryFixture { series.fixture }
  var catalog: BackupCatalog { BackupCatalog(fixture.repository) }

  init(_ fixture: RepositoryFixture) { series = BackupSeries(fixture) }

  /// Backups of contents that change at random.
  func take(_ count: Int, using generator: inout SystemRandomNumberGenerator) throws {
    var contents = taken.last?.contents ?? IncrementalTests.contents
    for _ in 0..<count {
      for _ in 0..<40 { contents[0].edits[Int.random(in: 0..<300, using: &generator), default: 0] += 1 }
      taken.append((try series.take(contents).backup.id, contents))
    }
  }

  /// - Parameter later: How far from now.
  func prune(
    later: Duration = .zero, policy: RetentionPolicy? = nil, window: Duration? = nil, dryRun: Bool = false
  ) throws -> PruneReport {
    for store in fixture.stores { store.faults.withLock { $0.clockAhead = later } }
    defer { for store in fixture.stores { store.faults.withLock { $0.clockAhead = .zero } } }
    let rules = RetentionRules(policies: [JobID(unchecked: "nightly"): policy], recoveryWindow: window)
    let pruner = Pruner(
      repository: fixture.repository, cluster: fixture.lineage.cluster,
      options: .init(rules: rules, dryRun: dryRun, now: { .now() + later }))
    let reports = try pruner.run(cancellation: Cancellation())
    #expect(reports.count == fixture.stores.count)
    return try #require(reports.first)
  }

  func delete(_ backup: BackupID) throws {
    try catalog.delete(backup, reason: "test", cancellation: Cancellation())
  }

  /// Everything that is not deleted is whole.
  func compareRest() throws {
    let rest = try catalog.list().backups.filter { $0.deleted == nil }
    for backup in rest {
      let contents = try #require(taken.first { $0.backup == backup.id }?.contents)
      try series.compare(backup.id, contents)
    }
    let verifier = Verifier(repository: fixture.repository)
    for backup in rest {
      let report = try verifier.verify(backup.id, depth: .presence, workers: 1, cancellation: Cancellation()) { _ in }
      #expect(report.isSound, "\(report.damage)")
    }
  }

  func bytes() throws -> Int64 {
    try [fixture.lineage.packsPrefix, fixture.lineage.metadataPrefix].reduce(0) { sum, prefix in
      try fixture.stores[0].list(below: prefix).objects.reduce(sum) { $0 + $1.size }
    }
  }
}

let day: Duration = .seconds(86400)

@Suite("Prune") struct PruneTests {
  @Test("removes any backups out of thirty, and all others stay whole")
  func anyOfThirty() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(30, using: &generator)
      let all = pruned.taken.map(\.backup)
      let gone = Set(all.dropLast().shuffled(using: &generator).prefix(17))
      for backup in gone { try pruned.delete(backup) }
      let before = try pruned.bytes()
      // Within the grace period nothing goes.
      let early = try pruned.prune(later: .seconds(23 * 3600))
      #expect(early.error == nil && early.freedBytes.value == 0)
      #expect(early.entries.filter { $0.action == .wait && $0.kind == "backup" }.count == 17)
      #expect(try pruned.catalog.list().backups.count == 30)
      let late = try pruned.prune(later: day * 3)
      #expect(late.error == nil, "\(String(describing: late.error))")
      #expect(late.entries.filter { $0.action == .remove && $0.kind == "backup" }.count == 17)
      #expect(try pruned.catalog.list().backups.map(\.id) == all.filter { !gone.contains($0) })
      #expect(late.freedBytes.value > 0)
      #expect(try pruned.bytes() < before)
      try pruned.compareRest()
      // What is left is referred to, and a backup goes on from there.
      let again = try pruned.prune(later: day * 3)
      #expect(!again.entries.contains { $0.action == .remove }, "\(again.entries)")
      try pruned.take(2, using: &generator)
      try pruned.compareRest()
      #expect(try fixture.files(below: fixture.lineage.tombstonesPrefix).isEmpty)
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).isEmpty)
    }
  }

  @Test("that is killed at any removal loses nothing, and the next one finishes")
  func killedAnywhere() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(12, using: &generator)
      for entry in pruned.taken.dropLast(3) { try pruned.delete(entry.backup) }
      var kills = 0
      while true {
        // Each prune removes two objects before its store is gone for it.
        let left = Mutex(2)
        fixture.stores[0].faults.withLock {
          $0.beforeDelete = { name in
            if name.text.contains("/leases/") { return }
            let dies = left.withLock { left in
              left -= 1
              return left < 0
            }
            if dies {
              throw StorageError.failed("delete", name, in: "x", cause: ErrorReport(summary: "x"), retry: .useless)
            }
          }
        }
        let report = try pruned.prune(later: day * 3)
        fixture.stores[0].faults.withLock { $0.beforeDelete = { _ in } }
        try pruned.compareRest()
        if report.error == nil, !report.entries.contains(where: { $0.action == .remove }) { break }
        kills += 1
        try #require(kills < 200)
      }
      #expect(kills > 9)
      let names = try pruned.catalog.list().backups.map(\.id)
      #expect(names == pruned.taken.suffix(3).map(\.backup))
      try pruned.take(1, using: &generator)
      try pruned.compareRest()
    }
  }

  @Test("deletes what no job keeps, says why for each, and does nothing of it where it only looks")
  func policies() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(6, using: &generator)
      let files = try fixture.files()
      let dry = try pruned.prune(policy: .init(count: 2), dryRun: true)
      #expect(try fixture.files() == files)
      let fates = dry.entries.filter { $0.kind == "backup" }
      #expect(fates.map(\.action) == [.tombstone, .tombstone, .tombstone, .tombstone, .keep, .keep])
      #expect(fates.allSatisfy { !$0.reason.isEmpty })
      #expect(fates[0].reason.contains("the newest 2") && fates[5].reason.contains("number 1"))
      let real = try pruned.prune(policy: .init(count: 2))
      #expect(real.entries.filter { $0.kind == "backup" && $0.action == .tombstone }.count == 4)
      #expect(try pruned.catalog.list().backups.map { $0.deleted == nil } == [false, false, false, false, true, true])
      #expect(try pruned.prune().entries.filter { $0.kind == "backup" && $0.action == .wait }.count == 4)
      // A dry run says what the real one does.
      let will = try pruned.prune(later: day * 4, policy: .init(count: 2), dryRun: true)
      let did = try pruned.prune(later: day * 4, policy: .init(count: 2))
      func removed(_ report: PruneReport) -> [PruneReport.Entry] {
        report.entries.filter { $0.action == .remove && $0.kind != "tombstones" }
      }
      #expect(removed(will) == removed(did) && !removed(did).isEmpty)
      try pruned.compareRest()
    }
  }

  @Test("never removes the last backup that can be restored, nor anything where a manifest cannot be read")
  func lastOne() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(3, using: &generator)
      let newest = try pruned.catalog.open(pruned.taken[2].backup)
      let older = Set(try pruned.catalog.open(pruned.taken[1].backup).livePacks().map(\.pack))
      let own = try #require(try newest.livePacks().first { $0.kind == .pack && !older.contains($0.pack) })
      let name = fixture.lineage.pack(own.pack)
      let bytes = try fixture.bytes(name)
      try FileManager.default.removeItem(atPath: fixture.path(name))
      let report = try pruned.prune(policy: .init(count: 1))
      #expect(report.error == nil)
      #expect(try pruned.catalog.list().backups.map { $0.deleted == nil } == [false, true, true])
      #expect(report.entries.contains { $0.reason.contains("last that can be restored") })
      #expect(throws: RetentionError.self) { try pruned.delete(pruned.taken[1].backup) }
      try fixture.replace(name, with: bytes)
      try pruned.delete(pruned.taken[1].backup)
      #expect(throws: RetentionError.self) { try pruned.delete(pruned.taken[2].backup) }

      let manifest = fixture.lineage.manifest(pruned.taken[2].backup)
      let good = try fixture.bytes(manifest)
      try fixture.replace(manifest, with: good.dropLast(3) + [1, 2, 3])
      let files = try fixture.files()
      let refused = try pruned.prune(later: day * 9)
      #expect(refused.error?.summary.contains("cannot be read") == true)
      #expect(try fixture.files() == files)
      try fixture.replace(manifest, with: good)
      #expect(try pruned.prune(later: day * 9).error == nil)
      #expect(try pruned.catalog.list().backups.map(\.id) == [pruned.taken[2].backup])
      try pruned.compareRest()
    }
  }

  @Test("waits for leases, for another prune, and for clocks that agree")
  func guards() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(3, using: &generator)
      let reading = try Lease(.restore, fixture.repository, fixture.lineage, cancellation: Cancellation()) {
        .now() + day * 3
      }
      try pruned.delete(pruned.taken[0].backup)
      // It began before the deletion by no clock: one that began right after may have looked right before.
      fixture.stores[0].faults.withLock { $0.clockAhead = day * 3 }
      let early = try Lease(.backup, fixture.repository, fixture.lineage, cancellation: Cancellation())
      reading.release()
      func backupAction(_ report: PruneReport) -> PruneReport.Action? {
        report.entries.first { $0.kind == "backup" && $0.name == pruned.taken[0].backup.text }?.action
      }
      let waits = try pruned.prune(later: day * 3)
      #expect(waits.error == nil && backupAction(waits) == .wait, "\(waits)")
      #expect(waits.entries.contains { $0.kind == "backup" && $0.reason.contains("may use it") })
      early.release()
      let other = try Lease(.prune, fixture.repository, fixture.lineage, cancellation: Cancellation()) {
        .now() + day * 3
      }
      #expect(try pruned.prune(later: day * 3).error?.summary.contains("another prune") == true)
      other.release()
      // The store's clock says something else.
      let rules = RetentionRules(policies: [:], recoveryWindow: nil)
      let wrong = try Pruner(
        repository: fixture.repository, cluster: fixture.lineage.cluster,
        options: .init(rules: rules, now: { .now() + .seconds(660) })
      ).run(cancellation: Cancellation())
      #expect(wrong[0].error?.summary.contains("clock") == true)
      // One whose holder died counts for an hour, and is cleaned up after.
      let name = ObjectName(composed: fixture.lineage.leasesPrefix + "/dead/1")
      let record = Lease.Record(
        purpose: .prune, taken: .now() + day * 2, renewed: .now() + day * 2, expires: .now() + day * 2 + Lease.life)
      fixture.stores[0].faults.withLock { $0.clockAhead = .zero }
      try fixture.repository.putDocument(
        record, name, in: fixture.repository.stores[0], cancellation: Cancellation())
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: -86400)], ofItemAtPath: fixture.path(name))
      #expect(backupAction(try pruned.prune(later: day * 3)) == .remove)
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).isEmpty)
      try pruned.compareRest()
    }
  }

  @Test("is not held up by its own lease that could not be removed")
  func ownLease() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(2, using: &generator)
      fixture.stores[0].faults.withLock {
        $0.beforeDelete = { name in
          throw StorageError.failed("delete", name, in: "x", cause: ErrorReport(summary: "x"), retry: .useless)
        }
      }
      _ = try pruned.prune(policy: .init(count: 1))
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).count == 1)
      fixture.stores[0].faults.withLock { $0.beforeDelete = { _ in } }
      let again = try pruned.prune(policy: .init(count: 1))
      #expect(again.error == nil, "\(String(describing: again.error))")
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).isEmpty)
    }
  }

  @Test("is not held up by a lease that a store took after its request was given up")
  func lateLease() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(2, using: &generator)
      let late = Mutex<ObjectName?>(nil)
      let store = fixture.stores[0]
      store.faults.withLock {
        $0.beforePut = { name in
          let isFirst = late.withLock { late in
            defer { if late == nil { late = name } }
            return late == nil
          }
          if isFirst { throw CancellationError() }
        }
      }
      #expect(throws: CancellationError.self) {
        try Lease(.prune, fixture.repository, fixture.lineage, cancellation: Cancellation())
      }
      store.faults.withLock { $0.beforePut = { _ in } }
      let name = try #require(late.withLock { $0 })
      let record = Lease.Record(purpose: .prune, taken: .now(), renewed: .now(), expires: .now() + Lease.life)
      try fixture.repository.putDocument(record, name, in: fixture.repository.required[0], cancellation: Cancellation())
      let report = try pruned.prune(policy: .init(count: 1))
      #expect(report.error == nil, "\(String(describing: report.error))")
      #expect(report.entries.contains { $0.action == .tombstone && $0.kind == "backup" }, "\(report)")
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).isEmpty)
    }
  }

  @Test("removes WAL that ends before every backup, and slices whose segment is there")
  func wal() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      let lineage = fixture.lineage
      func segment(_ number: UInt64) -> WALSegment { WALSegment(timeline: TimelineID(1), number: number) }
      func put(_ name: ObjectName) throws { try fixture.replace(name, with: [1]) }
      for number in 1...9 {
        try put(lineage.walSegment(segment(UInt64(number)), size: .standard))
        let start = segment(UInt64(number)).start(size: .standard)
        try put(lineage.walSlice(segment(UInt64(number)), from: start, to: LSN(start.value + 100), size: .standard))
      }
      let open = segment(10).start(size: .standard)
      try put(lineage.walSlice(segment(10), from: open, to: LSN(open.value + 100), size: .standard))
      #expect(try pruned.prune(later: day * 3).entries.contains { $0.kind == "wal" && $0.action == .keep })
      #expect(try fixture.files(below: lineage.walPrefix).count == 19)
      let contents = IncrementalTests.contents
      for number in [4, 6] {
        let (options, header) = try pruned.series.prepare()
        var positioned = header
        positioned.startLSN = LSN(segment(UInt64(number)).start(size: .standard).value + 40)
        positioned.stopLSN = LSN(positioned.startLSN.value + 200)
        let writer = try fixture.store(contents, options: options)
        #expect(writer.sortFiles() == nil)
        _ = try writer.commit(positioned, cancellation: Cancellation())
      }
      #expect(try pruned.prune().error == nil)
      let left = try fixture.files(below: lineage.walPrefix)
      #expect(left.filter { !$0.contains(".partial") }.count == 6, "segments 4 to 9: \(left)")
      #expect(left.filter { $0.contains(".partial") }.count == 7, "young slices stay")
      _ = try pruned.prune(later: day * 3)
      #expect(try fixture.files(below: lineage.walPrefix).filter { $0.contains(".partial") }.count == 1)
    }
  }

  @Test("keeps the WAL of old backups and of the recovery window, and what it takes from between is no gap")
  func walOfWindow() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      let lineage = fixture.lineage
      func segment(_ number: UInt64) -> WALSegment { WALSegment(timeline: TimelineID(1), number: number) }
      for number in 1...12 {
        try fixture.replace(lineage.walSegment(segment(UInt64(number)), size: .standard), with: [1])
      }
      func backUp(segment number: UInt64, daysAgo: Int64) throws {
        let (options, header) = try pruned.series.prepare()
        var positioned = header
        positioned.startLSN = LSN(segment(number).start(size: .standard).value + 40)
        positioned.stopLSN = LSN(positioned.startLSN.value + 200)
        positioned.finished = .now() - day * Int(daysAgo)
        let writer = try fixture.store(IncrementalTests.contents, options: options)
        #expect(writer.sortFiles() == nil)
        _ = try writer.commit(positioned, cancellation: Cancellation())
      }
      func left() throws -> [UInt64] {
        try fixture.files(below: lineage.walPrefix).compactMap { name in
          (try? WALSegment(name: String(name.suffix(24)), size: .standard))?.number
        }.sorted()
      }
      func gaps() throws -> [WALGapRow] {
        try WALCatalog(fixture.repository, lineage, segmentSize: .standard).gaps().rows
      }
      try backUp(segment: 3, daysAgo: 20)
      try backUp(segment: 6, daysAgo: 10)
      try backUp(segment: 9, daysAgo: 5)
      try backUp(segment: 11, daysAgo: 0)
      let dry = try pruned.prune(window: day * 2, dryRun: true)
      #expect(try left() == Array(1...12))
      let report = try pruned.prune(window: day * 2)
      #expect(report.error == nil)
      #expect(report.entries.filter { $0.kind == "wal" } == dry.entries.filter { $0.kind == "wal" })
      #expect(try left() == [3, 6, 9, 10, 11, 12])
      #expect(try gaps() == [])
      #expect(try fixture.files(below: lineage.gapsPrefix).count == 2)
      // A day later than the window asks for: a restore may have begun just before.
      _ = try pruned.prune(window: day * 4 + .seconds(3600))
      #expect(try left() == [3, 6, 9, 10, 11, 12])
      // Ranges that grow are one record; a loss is a gap as ever.
      try backUp(segment: 12, daysAgo: 0)
      _ = try pruned.prune(later: day * 10, window: day * 2)
      #expect(try left() == [3, 6, 9, 11, 12])
      #expect(try gaps() == [])
      #expect(try fixture.files(below: lineage.gapsPrefix).count == 3)
      try FileManager.default.removeItem(
        atPath: fixture.path(lineage.walSegment(segment(6), size: .standard)))
      _ = try pruned.prune(later: day * 10, window: day * 2)
      let lost = try gaps()
      #expect(lost.map(\.first) == [segment(6).start(size: .standard)])
      #expect(lost.map(\.end) == [segment(6).end(size: .standard)])
    }
  }

  @Test("gives up what a run left that never ended, after a week")
  func abandoned() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      let contents = (1...8).map { Content(path: "base/5/\($0)", size: 700 * 8192) }
      let (options, header) = try pruned.series.prepare()
      fixture.stores[0].faults.withLock { $0.putsLeft = 6 }
      #expect(throws: (any Error).self) {
        _ = try fixture.store(contents, options: options) { $0.leaveCheckpoints(header, expected: 0) }
      }
      fixture.stores[0].faults.withLock { $0.putsLeft = .max }
      #expect(try !RunCheckpoint.list(fixture.repository, fixture.lineage).isEmpty)
      #expect(try pruned.prune(later: day * 5).freedBytes.value == 0)
      #expect(try !RunCheckpoint.list(fixture.repository, fixture.lineage).isEmpty)
      _ = try pruned.prune(later: day * 8)
      #expect(try pruned.prune(later: day * 8).error == nil)
      #expect(try RunCheckpoint.list(fixture.repository, fixture.lineage).isEmpty)
      #expect(try pruned.bytes() == 0)
    }
  }
}

@Suite("A deleted backup") struct DeletedBackupTests {
  @Test("is used by nothing, can be brought back while it is whole, and deleted again")
  func undelete() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(3, using: &generator)
      let newest = pruned.taken[2].backup
      let catalog = pruned.catalog
      func undelete() throws { try catalog.undelete(newest, reason: "test", cancellation: Cancellation()) }
      #expect(throws: RetentionError.self) { try undelete() }
      try pruned.delete(newest)
      #expect(try catalog.parentCandidate(fixture.lineage) == pruned.taken[1].backup)
      #expect(throws: RetentionError.self) { try catalog.refuseDeleted(newest, fixture.lineage) }
      try undelete()
      #expect(try catalog.parentCandidate(fixture.lineage) == newest)
      #expect(try catalog.list().backups.allSatisfy { $0.deleted == nil })
      try pruned.delete(newest)
      #expect(try catalog.list().backups.last?.deleted != nil)
      // Its packs are gone from both stores: what would come back could not be restored.
      let older = Set(try catalog.open(pruned.taken[1].backup).livePacks().map(\.pack))
      let packs = try catalog.open(newest).livePacks()
      let own = try #require(packs.first { $0.kind == .pack && !older.contains($0.pack) })
      for store in 0..<2 {
        try FileManager.default.removeItem(atPath: fixture.path(fixture.lineage.pack(own.pack), store: store))
      }
      #expect {
        try undelete()
      } throws: {
        if case RetentionError.incomplete(_, let reason) = $0 { reason.contains("\(own.pack)") } else { false }
      }
      #expect(try catalog.list().backups.last?.deleted != nil)
    }
  }

  @Test("stays listed where its tombstone cannot be read: nothing is deleted on a guess")
  func damagedTombstone() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(2, using: &generator)
      try pruned.delete(pruned.taken[0].backup)
      let name = fixture.lineage.tombstone(pruned.taken[0].backup, 1)
      try fixture.replace(name, with: Array("{}".utf8))
      #expect(try pruned.catalog.list().backups.allSatisfy { $0.deleted == nil })
      #expect(try pruned.prune(later: day * 9).entries.filter { $0.action == .remove }.isEmpty)
      try pruned.delete(pruned.taken[0].backup)
      #expect(try pruned.catalog.list().backups[0].deleted != nil)
    }
  }

  @Test("cannot be lost by a lease that cannot be renewed: its holder gives up")
  func lostLease() throws {
    try RepositoryFixture.run { fixture throws in
      let cancellation = Cancellation()
      let lease = try Lease(.backup, fixture.repository, fixture.lineage, cancellation: cancellation)
      lease.renew()
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).map { $0.suffix(2) } == ["/2"])
      try lease.check()
      fixture.stores[0].faults.withLock { $0.putsLeft = 0 }
      lease.renew()
      // Half of its life is not over.
      #expect(!cancellation.isCancelled)
      try lease.check()
      lease.renew(at: .now + .seconds(1801))
      #expect(cancellation.isCancelled)
      #expect(throws: RetentionError.self) { try lease.check() }
      fixture.stores[0].faults.withLock { $0.putsLeft = .max }
      lease.release()
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).isEmpty)
    }
  }
}

@Suite("Prune with keys that may not delete") struct RefusedPruneTests {
  @Test("says so once, is no failure, and all goes with keys that may")
  func refused() throws {
    try RepositoryFixture.run { fixture throws in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(4, using: &generator)
      for entry in pruned.taken.dropLast(2) { try pruned.delete(entry.backup) }
      let asked = Mutex<[ObjectName]>([])
      let location = fixture.stores[0].location
      fixture.stores[0].faults.withLock { faults in
        faults.beforeDelete = { name in
          asked.withLock { $0.append(name) }
          throw StorageError.deletionRefused(name, in: location, cause: ErrorReport(summary: "AccessDenied"))
        }
      }
      let report = try pruned.prune(later: day * 3)
      #expect(report.error == nil && report.refusal?.summary.contains("may not delete") == true)
      #expect(!report.entries.contains { $0.action == .remove } && report.freedBytes.value == 0)
      #expect(report.entries.filter { $0.kind == "backup" && $0.action == .wait }.count == 2)
      // Once, and its own lease.
      #expect(asked.withLock { $0 }.filter { !$0.text.contains("/leases/") }.count == 1)
      try pruned.take(1, using: &generator)
      try pruned.compareRest()
      fixture.stores[0].faults.withLock { $0.beforeDelete = { _ in } }
      let late = try pruned.prune(later: day * 3)
      #expect(late.error == nil && late.refusal == nil)
      #expect(late.entries.filter { $0.kind == "backup" && $0.action == .remove }.count == 2)
      try pruned.compareRest()
      #expect(try fixture.files(below: fixture.lineage.leasesPrefix).isEmpty)
    }
  }
}
