import BackupModel
import BlockingWork
import Foundation
import Glibc
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import BackupPipeline
@testable import Repository

@Suite("A base backup", .serialized) struct BaseBackupPipelineTests {
  private func file(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

  /// Writes a copy of a configuration file outside the data directory, Debian's way.
  private func moveOut(_ name: String, of server: PostgresServer) throws -> String {
    let target = server.workDirectory + "/etc-" + name
    try FileManager.default.copyItem(atPath: "\(server.dataDirectory)/\(name)", toPath: target)
    try ProgramUser.postgres.own(target)
    return target
  }

  @Test(
    "holds every file of the cluster, its tablespaces and its configuration from elsewhere",
    arguments: [15, 18], [BaseBackupPipeline.Source.stream, .direct])
  func holdsEverything(version: Int, source: BaseBackupPipeline.Source) throws {
    try PostgresServer.run(version: version) { server in
      try PipelineFixture.run { fixture in
        let location = try server.createTablespace("fast")
        try server.psql(
          """
          create table t tablespace fast as select i, repeat('x', 200) from generate_series(1, 20000) i;
          create table u as select * from t; create unlogged table w as select * from t; checkpoint
          """)
        let relation = try server.psql("select pg_relation_filepath('t')")
        let unlogged = try server.psql("select pg_relation_filepath('w')")
        try server.stop()
        let options = [
          "config_file": try moveOut("postgresql.conf", of: server), "hba_file": try moveOut("pg_hba.conf", of: server),
        ]
        try server.start(options: options)
        let wal = AssumedWAL()
        let phases = Mutex<[String]>([])
        let result = try fixture.backUp(server, wal: wal, source: source) { progress in
          phases.withLock { if $0.last != progress.phase { $0.append(progress.phase) } }
        }
        #expect(result.warnings.isEmpty && result.failures.isEmpty && wal.ended.withLock { $0 } == 1)
        #expect(
          phases.withLock { $0 }
            == ["preparing", "checkpoint", "copying", "checking", "proving WAL", "committing"])
        let header = try BackupCatalog(fixture.repository).open(result.backup.id).header
        #expect(header.source == source.rawValue)
        #expect(header.sequence == 1 && header.serverVersion / 10000 == version && header.dataChecksums)
        #expect(header.startLSN < header.stopLSN && header.tablespaces.map(\.location) == [location])
        #expect(header.configurationFiles["config_file"] == options["config_file"])
        let entries = try fixture.entries(of: result.backup)
        for path in ["PG_VERSION", "backup_label", "backup_manifest", "global/pg_control", "pg_hba.conf", relation] {
          #expect(entries[path]?.entry.kind == .file, "\(path)")
        }
        #expect(try entries[relation]?.content == file("\(server.dataDirectory)/\(relation)"))
        #expect(entries["\(unlogged)_init"] != nil && entries[unlogged] == nil)
        let oid = try #require(header.tablespaces.first?.oid)
        #expect(entries["pg_tblspc/\(oid)"]?.entry.linkTarget == location)
        #expect(relation.hasPrefix("pg_tblspc/\(oid)/"))
        for path in options.values {
          #expect(entries[path]?.entry.kind == .configuration)
          #expect(try entries[path]?.content == file(path))
        }
        #expect(entries["pg_wal"]?.entry.kind == .directory && entries["postmaster.pid"] == nil)
        let second = try fixture.backUp(server).backup
        #expect(second.sequence == 2 && second.id > result.backup.id)
      }
    }
  }

  @Test(
    "names a page that is damaged on the server, and is made all the same",
    arguments: [15, 18], [BaseBackupPipeline.Source.stream, .direct])
  func damagedPage(version: Int, source: BaseBackupPipeline.Source) throws {
    try PostgresServer.run(version: version) { server in
      try PipelineFixture.run { fixture in
        try server.psql(
          "create table t as select i, repeat('x', 200) from generate_series(1, 2000) i; checkpoint")
        let relation = try server.psql("select pg_relation_filepath('t')")
        try server.stop()
        let handle = try #require(FileHandle(forUpdatingAtPath: "\(server.dataDirectory)/\(relation)"))
        try handle.seek(toOffset: 3 * 8192 + 5000)
        try handle.write(contentsOf: Data([0x5A]))
        try handle.close()
        try server.start()
        let result = try fixture.backUp(server, source: source)
        let header = try BackupCatalog(fixture.repository).open(result.backup.id).header
        #expect(header.damagedPages == [DamagedPage(path: relation, block: 3)])
        #expect(result.warnings.contains { $0.summary.contains(relation) && $0.summary.contains("block 3") })
        // The bytes are kept as they are: it is the operator who decides what they are worth.
        let entries = try fixture.entries(of: result.backup)
        #expect(entries[relation]?.content[3 * 8192 + 5000] == 0x5A)
      }
    }
  }

  @Test("that the server does not survive leaves no object, and says what happened")
  func serverCrashes() throws {
    try PostgresServer.run(version: 18) { server in
      try PipelineFixture.run { fixture in
        // More than two packs, so that objects have been stored by the time of the crash.
        try server.psql(
          """
          create table t as select decode(string_agg(md5((i * 200 + j)::text), ''), 'hex') as v
            from generate_series(1, 30000) i, generate_series(1, 200) j group by i;
          """)
        let stored = Mutex(0)
        let error = #expect(throws: (any Error).self) {
          try fixture.backUp(server) { progress in
            guard progress.phase == "copying", progress.doneBytes.value > 72 << 20 else { return }
            stored.withLock { stored in
              guard stored == 0 else { return }
              try? Poll.until(.seconds(30), "a stored pack") { !fixture.objects.isEmpty }
              stored = fixture.objects.count
              try? server.crash()
            }
          }
        }
        #expect(stored.withLock { $0 } > 0)
        #expect(error is PostgresError, "\(String(describing: error))")
        #expect(fixture.objects.isEmpty)
        #expect(try BackupCatalog(fixture.repository).list().backups.isEmpty)
        try server.start()
        _ = try fixture.backUp(server)
      }
    }
  }

  @Test("is not made where a database was moved meanwhile, which PostgreSQL cannot replay", arguments: [false, true])
  func databaseMoved(inPlace: Bool) throws {
    try PostgresServer.run { server in
      try PipelineFixture.run { fixture in
        try server.createTablespace("there")
        try server.psql("create database travelling")
        /// The statement waits for every session, and so for us to read on: it runs aside, and ends before files do.
        func backUp(during sql: String) throws -> BaseBackupPipeline.Result {
          let begun = Mutex(false)
          let failure = Mutex<String?>("it was not run")
          let statement = DispatchGroup()
          let result = Swift.Result {
            try fixture.backUp(server, source: inPlace ? .direct : .stream) { progress in
              if progress.phase == "copying",
                begun.withLock({ begun in
                  defer { begun = true }
                  return !begun
                })
              {
                DispatchQueue(label: "statement").async(group: statement) {
                  let result = Swift.Result { try server.psql(sql) }
                  failure.withLock { if case .failure(let error) = result { $0 = "\(error)" } else { $0 = nil } }
                }
              }
              if progress.phase == "checking" { statement.wait() }
            }
          }
          #expect(failure.withLock { $0 } == nil)
          return try result.get()
        }
        #expect {
          try backUp(during: "alter database travelling set tablespace there")
        } throws: {
          if case PipelineError.databaseMoved("travelling", _) = $0 { true } else { false }
        }
        #expect(fixture.objects.isEmpty)
        // Where others come and go it is made.
        _ = try backUp(during: "create database fresh; drop database fresh")
      }
    }
  }

  @Test("is not made without its WAL, of another cluster, or once cancelled; nothing stays of it")
  func refused() throws {
    try PipelineFixture.run { fixture in
      try PostgresServer.run { server in
        #expect {
          try fixture.backUp(server, wal: AssumedWAL(proven: LSN(1)))
        } throws: {
          if case PipelineError.walNotProven(_, _, _, LSN(1), _) = $0 { true } else { false }
        }
        for phase in ["copying", "checking", "proving WAL", "committing"] {
          let cancellation = Cancellation()
          #expect(throws: CancellationError.self, "\(phase)") {
            try fixture.backUp(server, cancellation: cancellation) {
              if $0.phase == phase { cancellation.cancel() }
            }
          }
          #expect(fixture.objects.isEmpty, "cancelled while \(phase)")
        }
        _ = try fixture.backUp(server)
      }
      _ = try PostgresServer.run { other in
        #expect {
          try fixture.backUp(other)
        } throws: {
          if case RepositoryError.systemIdentifierDiffers = $0 { true } else { false }
        }
      }
    }
  }
}
