import BackupModel
import BlockingWork
import Foundation
import Storage
import Testing

@testable import Repository

@Suite("A run after one that did not end") struct ResumeTests {
  static let contents = (1...12).map { Content(path: "base/5/\($0)", size: 700 * 8192) }

  /// A run that dies once so many packs are stored; what it stored stays, as after a crash.
  private func interrupt(_ series: BackupSeries, _ contents: [Content], afterPuts puts: Int) throws {
    let (options, header) = try series.prepare()
    series.fixture.stores[0].faults.withLock { $0.putsLeft = puts }
    let writer = try? series.fixture.store(contents, options: options) { $0.leaveCheckpoints(header, expected: 0) }
    series.fixture.stores[0].faults.withLock { $0.putsLeft = .max }
    #expect(writer == nil)
  }

  @Test("takes over what that one's checkpoints hold", arguments: [4, 7, 9])
  func resumes(puts: Int) throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      try interrupt(series, Self.contents, afterPuts: puts)
      let checkpoints = try RunCheckpoint.list(fixture.repository, fixture.lineage)
      #expect(!checkpoints.isEmpty)
      let taken = try series.take(Self.contents)
      #expect(taken.header.parent == nil)
      // Each checkpoint stands for 16 MiB, less a frame a worker.
      let held = UInt64(checkpoints.count * BackupWriter.shortestInterval / 8192)
      #expect(taken.header.pagesChanged <= taken.header.pagesRead - held + 64 * 32)
      try series.compare(taken.backup.id, Self.contents)
      #expect(try RunCheckpoint.list(fixture.repository, fixture.lineage).isEmpty)
      let next = try series.take(Self.contents)
      #expect(next.header.pagesChanged == 0 && next.header.parent == taken.backup.id)
    }
  }

  @Test("lays them over the newest backup, file by file")
  func overParent() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      let first = try series.take(Self.contents)
      var contents = Self.contents
      for index in contents.indices { for page in stride(from: 0, to: 700, by: 2) { contents[index].edits[page] = 1 } }
      try interrupt(series, contents, afterPuts: 5)
      // Between the runs some pages go back, and others change once more; not of the file the checkpoint begins with.
      contents[11].edits = [3: 2]
      let taken = try series.take(contents)
      #expect(taken.header.parent == first.backup.id)
      #expect(taken.header.pagesChanged < 12 * 350)
      try series.compare(taken.backup.id, contents)
      try series.compare(first.backup.id, Self.contents)
    }
  }

  @Test("that stores every page takes over nothing from a run that had a parent")
  func anew() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      _ = try series.take(Self.contents)
      var contents = Self.contents
      for page in 0..<700 { for index in 0..<8 { contents[index].edits[page] = 1 } }
      try interrupt(series, contents, afterPuts: 6)
      let taken = try series.take(contents, anew: true)
      #expect(taken.header.parent == nil && taken.header.pagesChanged == taken.header.pagesRead)
      try series.compare(taken.backup.id, contents)
    }
  }

  @Test("leaves nothing of a failed run but checkpoints and what they refer to")
  func leavesLittle() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      try interrupt(series, Self.contents, afterPuts: 5)
      var referred: Set<String> = []
      for checkpoint in try RunCheckpoint.list(fixture.repository, fixture.lineage) {
        let reader = try BackupReader(fixture.repository, fixture.lineage, checkpoint: checkpoint)
        for pack in try reader.livePacks() { referred.insert(pack.pack.description) }
      }
      let packs = try fixture.files(below: fixture.lineage.prefix + "/packs")
      let metadata = try fixture.files(below: fixture.lineage.prefix + "/metadata")
      #expect(!packs.isEmpty && Set(packs + metadata) == referred)
    }
  }

  @Test("that stores little is not cut into many packs by its checkpoints")
  func fewPacks() throws {
    try RepositoryFixture.run { fixture throws in
      let series = BackupSeries(fixture)
      _ = try series.take(Self.contents)
      let before = Set(try fixture.files(below: fixture.lineage.prefix + "/packs"))
      var contents = Self.contents
      for index in contents.indices { for page in stride(from: 0, to: 700, by: 20) { contents[index].edits[page] = 1 } }
      let (options, header) = try series.prepare()
      let writer = try fixture.store(contents, options: options) { $0.leaveCheckpoints(header, expected: 0) }
      _ = writer.sortFiles()
      let taken = try writer.commit(header, cancellation: Cancellation())
      #expect(Set(try fixture.files(below: fixture.lineage.prefix + "/packs")).subtracting(before).count == 1)
      try series.compare(taken.backup.id, contents)
    }
  }
}
