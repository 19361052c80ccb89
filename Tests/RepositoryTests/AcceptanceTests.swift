import BackupModel
import BlockingWork
import Foundation
import Storage
import Testing

@testable import Repository

@Suite("Lineages of a cluster") struct AcceptanceTests {
  private let cluster = ClusterID(unchecked: "oauth")

  private func lineage(_ number: UInt64) -> Lineage {
    Lineage(cluster: cluster, systemIdentifier: SystemIdentifier(number))
  }

  /// Makes a lineage known, as its first WAL does.
  private func begin(_ number: UInt64, _ fixture: RepositoryFixture) throws {
    _ = try fixture.seal(.timelineHistory, lineage(number).history(TimelineID(2)), frames: [[1]])
  }

  private func order(_ fixture: RepositoryFixture) throws -> [UInt64] {
    try fixture.repository.lineages(of: cluster).map(\.systemIdentifier.value)
  }

  private func accept(_ number: UInt64, _ fixture: RepositoryFixture) throws -> Int? {
    try fixture.repository.accept(lineage(number), cancellation: Cancellation())?.number
  }

  @Test("are in the order in which they were accepted, whatever their identifiers; the last one goes on") func order()
    throws
  {
    try RepositoryFixture.run(stores: 2) { fixture in
      // Nobody has to accept the first, and nothing is written for it.
      #expect(try accept(9, fixture) == nil)
      try fixture.repository.requireCurrent(lineage(9))
      #expect(try fixture.files(below: "clusters").isEmpty)
      try begin(9, fixture)
      #expect(try accept(9, fixture) == nil)
      #expect(throws: RepositoryError.self) { try fixture.repository.requireCurrent(lineage(5)) }
      #expect(try accept(5, fixture) == 1)
      #expect(try order(fixture) == [9, 5])
      try fixture.repository.requireCurrent(lineage(5))
      // The old server is refused now, as any other: its backups would not be found by a restore.
      #expect {
        try fixture.repository.requireCurrent(lineage(9))
      } throws: { error in
        guard case RepositoryError.systemIdentifierDiffers(cluster, let known, let server) = error else { return false }
        let hint = (error as? RepositoryError)?.hint
        return known.value == 5 && server.value == 9 && hint?.contains("backupctl cluster accept oauth") == true
      }
      #expect(try accept(7, fixture) == 2)
      #expect(try accept(9, fixture) == 3)
      #expect(try accept(9, fixture) == nil)
      #expect(try order(fixture) == [5, 7, 9])
      #expect(try fixture.reopened().lineages(of: cluster).map(\.systemIdentifier.value) == [5, 7, 9])
      for store in 0..<2 {
        #expect(try fixture.files(store, below: "clusters/oauth/9/acceptances") == ["3"])
      }
    }
  }

  @Test("are not put in another order by what cannot be read, and no acceptance is written twice") func damaged() throws
  {
    try RepositoryFixture.run { fixture in
      try begin(5, fixture)
      #expect(try accept(7, fixture) == 1)
      let copied = try fixture.bytes(lineage(7).acceptance(1))
      #expect(try accept(5, fixture) == 2)
      // Somebody who can write into the store, and has no key.
      try fixture.replace(lineage(7).acceptance(3), with: copied)
      #expect(try order(fixture) == [7, 5])
      #expect(try accept(7, fixture) == 4)
      #expect(try order(fixture) == [5, 7])
    }
  }

  @Test("are accepted although somebody put acceptances with the highest numbers there") func highest() throws {
    try RepositoryFixture.run { fixture in
      try begin(5, fixture)
      for number in [1_000_000, 1_000_001, Int.max] { try fixture.replace(lineage(5).acceptance(number), with: [1]) }
      #expect(try accept(7, fixture) == 1)
      #expect(try accept(5, fixture) == 2)
      #expect(try order(fixture) == [7, 5])
    }
  }

  @Test("do not go on in one of which nothing opens, whatever its identifier") func byName() throws {
    try RepositoryFixture.run(stores: 2) { fixture in
      let other = lineage(.max)
      try fixture.replace(ObjectName(composed: other.prefix + "/x/y"), with: [1])
      // The first server of a cluster comes after it.
      try fixture.repository.requireCurrent(lineage(9))
      try begin(9, fixture)
      #expect(try order(fixture) == [.max, 9])
      try fixture.repository.requireCurrent(lineage(9))
      for name in [
        other.manifest(BackupID(started: .now())), other.history(TimelineID(2)),
        other.walSegment(WALSegment(timeline: TimelineID(2), number: 1), size: .standard),
        other.walSlice(
          WALSegment(timeline: TimelineID(2), number: 1), from: LSN(16 << 20), to: LSN(17 << 20), size: .standard),
      ] { try fixture.replace(name, with: [1]) }
      #expect(try order(fixture) == [.max, 9])
      #expect(throws: RepositoryError.self) { try fixture.repository.requireCurrent(other) }
      #expect(try accept(9, fixture) == nil)
    }
  }

  @Test("are on record in every store, at the latest when they are accepted again") func failing() throws {
    try RepositoryFixture.run(stores: 2) { fixture in
      try begin(5, fixture)
      fixture.stores[1].faults.withLock { $0.putsLeft = 0 }
      #expect(throws: StorageError.self) { try accept(7, fixture) }
      fixture.stores[1].faults.withLock { $0.putsLeft = .max }
      #expect(try accept(7, fixture) == nil)
      for store in 0..<2 { #expect(try fixture.files(store, below: "clusters/oauth/7") == ["acceptances/1"]) }
      #expect(try order(fixture) == [5, 7])
    }
  }
}
