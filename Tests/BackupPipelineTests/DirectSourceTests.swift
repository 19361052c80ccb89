import BackupModel
import BlockingWork
import DurableFiles
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import BackupPipeline
@testable import Repository

@Suite("Files read in place", .serialized) struct DirectSourceTests {
  @Test("are those that the server sends, with the same content", arguments: [15, 18])
  func sameAsStream(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try PipelineFixture.run { fixture in
        _ = try server.createTablespace("fast")
        try server.psql("create database other")
        try server.psql(
          """
          create table t tablespace fast as select i from generate_series(1, 5000) i; vacuum t;
          create unlogged table w as select * from t; create table u as select i from generate_series(1, 900000) i;
          checkpoint
          """)
        let root = server.dataDirectory
        try FileManager.default.createDirectory(atPath: root + "/pg_replslot/x", withIntermediateDirectories: false)
        for name in ["note.txt", "pgsql_tmp1.1", "base/1/t3_99", "postgresql.auto.conf.tmp", "backup_label.old"] {
          try Data("x".utf8).write(to: URL(fileURLWithPath: root + "/" + name))
        }
        for name in ["note.txt", "pg_replslot/x"] { try ProgramUser.postgres.own(root + "/" + name) }
        let streamed = try fixture.entries(of: try fixture.backUp(server).backup)
        let direct = try fixture.entries(of: try fixture.backUp(server, source: .direct).backup)
        #expect(Set(streamed.keys).symmetricDifference(direct.keys).sorted() == [])
        // What two backups of one idle server differ in: their label, their manifest, checkpoints, statistics of WAL.
        let changing = ["backup_label", "backup_manifest", "global/pg_control"]
        for (path, entry) in streamed where !changing.contains(path) && !path.hasPrefix("pg_xact") {
          let other = try #require(direct[path])
          #expect(entry.entry.kind == other.entry.kind && entry.entry.linkTarget == other.entry.linkTarget, "\(path)")
          #expect(entry.content == other.content && entry.entry.checksum == other.entry.checksum, "\(path)")
        }
        #expect(direct["note.txt"] != nil && direct["pg_replslot/x"] == nil)
      }
    }
  }

  @Test("that were backed up over the protocol before cost nothing again, and the other way round")
  func mixed() throws {
    try PostgresServer.run { server in
      try PipelineFixture.run { fixture in
        try server.psql(
          "create table t as select i, md5(i::text) from generate_series(1, 60000) i; vacuum t; checkpoint")
        let first = try fixture.backUp(server, incremental: true).backup
        for source in [BaseBackupPipeline.Source.direct, .stream, .direct] {
          let result = try fixture.backUp(server, source: source, incremental: true)
          let header = try BackupCatalog(fixture.repository).open(result.backup.id).header
          #expect(header.source == source.rawValue && header.pagesRead > 3000)
          #expect(header.pagesChanged < 60, "\(source)")
          #expect(result.backup.storedBytes.value < first.storedBytes.value / 10)
          _ = try fixture.entries(of: result.backup)
        }
      }
    }
  }

  @Test("while they are written, grow, shrink and vanish give a backup whose pages are whole")
  func moving() throws {
    try PostgresServer.run { server in
      try PipelineFixture.run { fixture in
        try server.psql("create table big as select i, repeat('x', 300) as v from generate_series(1, 60000) i")
        let stop = Atomic(false)
        let churn = Thread {
          while !stop.load(ordering: .relaxed) {
            // A statement that meets the end of the test fails; what it did before counts.
            _ = try? server.psql(
              """
              update big set v = v || 'y' where i % 7 = 0; create table gone as select * from big limit 9000;
              checkpoint; drop table gone; delete from big where i % 11 = 0; vacuum big;
              insert into big select i, repeat('z', 300) from generate_series(1, 5000) i
              """)
          }
        }
        churn.start()
        defer {
          stop.store(true, ordering: .relaxed)
          while !churn.isFinished { usleep(10_000) }
        }
        for _ in 0..<6 {
          let result = try fixture.backUp(server, source: .direct, incremental: true, isIdle: true)
          let header = try BackupCatalog(fixture.repository).open(result.backup.id).header
          #expect(header.damagedPages.isEmpty && header.pagesChanged > 0)
          _ = try fixture.entries(of: result.backup)
        }
      }
    }
  }

  @Test("half written are read again until they are whole; one that never is, is named")
  func torn() throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select i, repeat('x', 200) from generate_series(1, 2000) i; checkpoint")
      let path = try server.psql("select pg_relation_filepath('t')")
      try server.stop()
      let file = try #require(try SourceFile.open("\(server.dataDirectory)/\(path)"))
      let inspector = PageInspector(start: LSN(.max))
      let check = TornPages(inspector, Cancellation())
      check.source = file
      let frame = PageFrame()
      frame.slots = 2
      try file.read(into: UnsafeMutableRawBufferPointer(start: frame.base, count: 16384), at: 3 * 8192)
      let piece = PageFrame.Piece(
        file: 0, path: path, firstPage: 3, slot: 0, count: 2, byteCount: 16384, firstBlock: 3, checksums: true)
      #expect(try check.check(frame, piece, 0) == .asRead)
      // Half of another state in the buffer; the file has the whole one.
      let whole = Array(frame.slot(1))
      (frame.base + 8192 + 4096).initializeMemory(as: UInt8.self, repeating: 7, count: 4096)
      #expect(try check.check(frame, piece, 1) == .readAgain)
      #expect(Array(frame.slot(1)) == whole && inspector.found.suspects.isEmpty)
      // Damaged in the file, too.
      let handle = try #require(FileHandle(forUpdatingAtPath: "\(server.dataDirectory)/\(path)"))
      try handle.seek(toOffset: 4 * 8192 + 5000)
      try handle.write(contentsOf: Data([0x5A]))
      try handle.close()
      (frame.base + 8192 + 4096).initializeMemory(as: UInt8.self, repeating: 7, count: 4096)
      #expect(try check.check(frame, piece, 1) == .readAgain)
      #expect(inspector.found.suspects.map(\.block) == [4] && frame.slot(1)[5000] == 0x5A)
    }
  }

  @Test("are refused where they are another server's, a copy's, or not text; auto takes the protocol then")
  func refused() throws {
    try PostgresServer.run { server in
      try PostgresServer.run { other in
        try PipelineFixture.run { fixture in
          func options(_ source: BaseBackupPipeline.Source) -> BaseBackupPipeline.Options {
            .init(
              cluster: fixture.cluster, connection: server.connection, job: nil, run: nil, workers: 2, source: source,
              dataDirectory: other.dataDirectory)
          }
          let notices = Mutex<[String]>([])
          func backUp(_ source: BaseBackupPipeline.Source) throws -> BaseBackupPipeline.Result {
            try BaseBackupPipeline(
              options(source), repository: fixture.repository, wal: AssumedWAL(), observe: { _ in },
              notice: { report in notices.withLock { $0.append(report.detail ?? "") } }
            ).run(cancellation: Cancellation())
          }
          #expect {
            try backUp(.direct)
          } throws: {
            if case PipelineError.directImpossible(_, let reason) = $0 {
              reason.contains(server.dataDirectory) && reason.contains(other.dataDirectory)
            } else {
              false
            }
          }
          #expect(fixture.objects.isEmpty)
          let backup = try backUp(.auto).backup
          #expect(try BackupCatalog(fixture.repository).open(backup.id).header.source == "stream")
          #expect(notices.withLock { $0 }.contains { $0.contains(other.dataDirectory) })
          try server.makeFile(named: [0x66, 0xFF, 0x6F])
          let before = fixture.objects.count
          #expect {
            try fixture.backUp(server, source: .direct)
          } throws: {
            if case PipelineError.nameNotText = $0 { true } else { false }
          }
          #expect(fixture.objects.count == before)
        }
      }
    }
  }
}

extension PostgresServer {
  /// An empty file in the data directory whose name is these bytes.
  fileprivate func makeFile(named name: [UInt8]) throws {
    let path = Array(dataDirectory.utf8) + [UInt8(ascii: "/")] + name + [0]
    let number = path.withUnsafeBytes { open($0.bindMemory(to: CChar.self).baseAddress!, O_CREAT | O_WRONLY, 0o600) }
    guard number >= 0 else { throw FileError.last("create", dataDirectory) }
    close(number)
  }
}
