import BackupModel
import BlockingWork
import Storage
import Testing

@testable import Repository

@Suite("Dumps beside physical backups") struct LogicalRetentionTests {
  private static let critical = JobID(unchecked: "critical")
  private static let nightly = JobID(unchecked: "nightly")

  @Test("go by their own job's keep, and never stand in for the last physical backup") func keep() throws {
    try RepositoryFixture.run { fixture in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(1, using: &generator)
      let physical = try #require(pruned.taken.first).backup
      var stream = LogicalBackupTests.rows(1_000_000, seed: 1)
      var dumps: [(id: BackupID, stream: [UInt8])] = []
      for round in 0..<5 {
        stream.replaceSubrange(
          (round * 100_000)..<(round * 100_000 + 500), with: LogicalBackupTests.rows(500, seed: 99))
        dumps.append((try fixture.dump(["custom": stream]).backup.id, stream))
      }
      #expect(throws: RetentionError.self) { try pruned.delete(physical) }
      let policy = RetentionPolicy(count: 2)
      let first = try Self.prune(fixture, later: .zero, policy)
      #expect(
        Set(first.entries.filter { $0.action == .tombstone }.compactMap(\.name)) == Set(dumps[..<3].map(\.id.text)))
      let second = try Self.prune(fixture, later: day * 3, policy)
      #expect(second.error == nil, "\(String(describing: second.error))")
      let left = try pruned.catalog.list().backups.map(\.id)
      #expect(Set(left) == Set([physical] + dumps[3...].map(\.id)))
      for dump in dumps[3...] { #expect(try fixture.stream("custom", of: dump.id) == dump.stream) }
      try pruned.series.compare(physical, try #require(pruned.taken.first).contents)
      // A dump may go while there is a physical backup.
      try pruned.delete(dumps[4].id)
      #expect(try fixture.caches().parent().pieces == nil)
    }
  }

  @Test("are nobody's parent but dumps', and leave a newer physical run's parent as it is") func parents() throws {
    try RepositoryFixture.run { fixture in
      let pruned = PrunedSeries(fixture)
      var generator = SystemRandomNumberGenerator()
      try pruned.take(1, using: &generator)
      try fixture.dump(["custom": LogicalBackupTests.rows(100_000, seed: 1)])
      #expect(try pruned.catalog.parentCandidate(fixture.lineage) == pruned.taken.first?.backup)
      try pruned.take(1, using: &generator)
      let backups = try pruned.catalog.list().backups
      #expect(backups.filter { $0.kind == .physical }.map(\.parent) == [nil, pruned.taken.first?.backup])
      #expect(backups.filter { $0.kind == .logical }.map(\.parent) == [nil])
    }
  }

  @Test("fill a store that lacks them, which then gives them back by itself") func fill() throws {
    try RepositoryFixture.run(stores: 2) { fixture in
      let stream = LogicalBackupTests.rows(1_000_000, seed: 1)
      fixture.stores[1].faults.withLock { $0.putsLeft = 0 }
      let committed = try fixture.dump(["custom": stream])
      #expect(committed.backup.missingStores == [StoreID(unchecked: "store1")] && committed.failures.count == 1)
      // What a store lacks is nobody's parent.
      #expect(try fixture.caches().parent().pieces == nil)
      fixture.stores[1].faults.withLock { $0.putsLeft = .max }
      let sources = fixture.repository.without([StoreID(unchecked: "store1")])
      let plan = try FillPlan(
        fixture.lineage, from: sources, to: fixture.repository.stores[1], rules: nil, memory: FillMemory(),
        youngest: .now() + .seconds(3600), now: .now())
      #expect(plan.failure == nil && plan.manifests.count == 1)
      for object in plan.all {
        let bytes = try fixture.bytes(object.name)
        try fixture.replace(object.name, store: 1, with: bytes)
      }
      let alone = Repository(
        id: fixture.repository.id, keys: fixture.repository.keys, stores: [fixture.repository.stores[1]])
      let reader = try DumpReader(BackupReader(alone, fixture.lineage, committed.backup.id))
      var bytes: [UInt8] = []
      try reader.read("custom", cancellation: Cancellation()) { bytes.append(contentsOf: $0) }
      #expect(bytes == stream)
    }
  }

  private static func prune(
    _ fixture: RepositoryFixture, later: Duration, _ policy: RetentionPolicy
  ) throws -> PruneReport {
    for store in fixture.stores { store.faults.withLock { $0.clockAhead = later } }
    defer { for store in fixture.stores { store.faults.withLock { $0.clockAhead = .zero } } }
    let rules = RetentionRules(policies: [critical: policy, nightly: RetentionPolicy(count: 1)], recoveryWindow: nil)
    let pruner = Pruner(
      repository: fixture.repository, cluster: fixture.lineage.cluster,
      options: .init(rules: rules, now: { .now() + later }))
    return try #require(try pruner.run(cancellation: Cancellation()).first)
  }
}
