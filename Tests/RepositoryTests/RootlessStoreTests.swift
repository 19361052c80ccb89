import BackupModel
import BlockingWork
import Foundation
import Storage
import Testing

@testable import Repository

@Suite("A store without a root beside one with it") struct RootlessStoreTests {
  @Test("is a disk that is away: it is read around, nothing is written to it, and it counts once the root is there")
  func waits() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      let contents = [Content(path: "base/5/1", size: 8192)]
      let first = try BackupSeries(fixture).take(contents)
      let (mounted, aside) = (fixture.directory + "/store1", fixture.directory + "/aside")
      try FileManager.default.moveItem(atPath: mounted, toPath: aside)
      try FileManager.default.createDirectory(atPath: mounted, withIntermediateDirectories: false)
      let away = RepositoryFixture(
        directory: fixture.directory, stores: fixture.stores, repository: try fixture.reopened())
      let id = away.repository.stores[1].id

      #expect(try BackupCatalog(away.repository).list().backups.map(\.id) == [first.backup.id])
      #expect(try WALCatalog(away.repository, away.lineage).failures.map(\.key) == [id])
      // Nothing is said to be absent from it.
      #expect {
        try away.repository.read(.pack, away.lineage.pack(.random())) { _ in }
      } throws: { error in
        if case RepositoryError.unavailable(_, let causes) = error {
          causes[id]?.detail?.contains("repository.json") == true
        } else {
          false
        }
      }
      let series = BackupSeries(away)
      series.sequence = 1
      let (options, header) = try series.prepare()
      let writer = try away.store(contents, options: options)
      #expect(writer.sortFiles() == nil)
      let second = try writer.commit(header, cancellation: Cancellation())
      #expect(second.backup.missingStores == [id] && second.failures[id] != nil)
      let later: @Sendable () -> Timestamp = { .now() + .seconds(120) }
      let made = StoreFiller(away.repository, id, rules: [:], now: later)
      let filler = try #require(made)
      #expect(throws: StorageError.self) { try filler.fill(cancellation: Cancellation()) { _ in } }
      #expect(try PrunedSeries(away).pruneErrors().allSatisfy { $0 != nil })
      #expect(try fixture.files(1).isEmpty)

      try FileManager.default.removeItem(atPath: mounted)
      try FileManager.default.moveItem(atPath: aside, toPath: mounted)
      try filler.fill(cancellation: Cancellation()) { _ in }
      #expect(try BackupCatalog(away.repository).list().backups.allSatisfy { $0.missingStores.isEmpty })
      #expect(try BackupCatalog(away.repository).list().backups.count == 2)
    }
  }

  @Test("is not used either when it turns out to be another repository's")
  func another() throws {
    try RepositoryFixture.run(stores: 2) { fixture throws in
      try FileManager.default.removeItem(atPath: fixture.directory + "/store1/repository.json")
      let opened = try fixture.reopened()
      #expect(throws: StorageError.self) { try opened.stores[1].objects.list(below: "keys") }
      try RepositoryFixture.run { other in
        try fixture.replace(Repository.rootName, store: 1, with: other.bytes(Repository.rootName))
      }
      #expect {
        try opened.stores[1].objects.list(below: "keys")
      } throws: {
        ErrorReport($0).detail?.contains("\(opened.id)") == true
      }
      try fixture.replace(Repository.rootName, store: 1, with: fixture.bytes(Repository.rootName))
      #expect(try opened.stores[1].objects.list(below: "keys").prefixes.count == 1)
    }
  }
}

extension PrunedSeries {
  /// What a prune that keeps one backup would say of each store.
  fileprivate func pruneErrors() throws -> [ErrorReport?] {
    let rules = RetentionRules(policies: [JobID(unchecked: "nightly"): .some(.init(count: 1))], recoveryWindow: nil)
    let pruner = Pruner(
      repository: fixture.repository, cluster: fixture.lineage.cluster, options: .init(rules: rules, dryRun: true))
    return try pruner.run(cancellation: Cancellation()).map(\.error)
  }
}
