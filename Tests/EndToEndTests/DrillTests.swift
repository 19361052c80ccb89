import BackupModel
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A drill", .serialized) struct DrillTests {
  @Test("proves a row written after the backup, and leaves nothing behind", arguments: [15, 18])
  func succeeds(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.pgbenchInitialize()
      try Ledger.create(server)
      try makeDangerous(server)
      try BackupSite.run(server) { site in
        try site.configureDrill(server, keys: ["store: local"])
        try site.withDaemon { _ in
          let backup = try site.backup()
          try server.psql("insert into ledger (written) values (now()), (now())")
          try site.waitUntilDurable(server)
          let slots = try server.psql("select slot_name from pg_replication_slots order by 1")
          let report = try site.drill()
          #expect(report["outcome"].text == "succeeded", "\(report)")
          #expect(report.keys == Self.keys && report["history"][0].keys == Self.historyKeys)
          #expect(report["backup"].text == backup)
          #expect(report["phases"].array?.compactMap { $0["name"].text } == ["fetch", "replay", "start", "checks"])
          expectMeasured(report)
          let checks = try #require(report["checks"].array)
          #expect(checks.map { $0["name"].text } == ["heartbeat", "ledger", "pg_amcheck", "page checksums"])
          #expect(checks.allSatisfy { $0["verdict"].text == "ok" })
          #expect(checks[1]["value"].text == "2", "the rows written after the backup")
          #expect((checks[3]["value"].text.flatMap { Int($0) } ?? 0) > 1000)
          #expect(report["drill"]["heartbeat"].text != nil && report["drill"]["store"].text == "local")
          try site.expectNothingLeft()
          #expect(try server.psql("select slot_name from pg_replication_slots order by 1") == slots)
          #expect(try site.json("backups").array?.count == 1)
        }
      }
    }
  }

  /// Settings and objects of the original that would hurt, were they not kept from it.
  private func makeDangerous(_ server: PostgresServer) throws {
    try server.psql("alter system set shared_preload_libraries = 'no_such_library'")
    try server.psql("alter system set external_pid_file = '\(server.workDirectory)/external.pid'")
    try server.psql("alter system set archive_command = 'touch \(server.workDirectory)/archived'")
    try server.psql("create database other")
    try server.psql("alter database other set session_preload_libraries = 'no_such_library'")
    let tablespace = try server.createTablespace("elsewhere")
    #expect(!tablespace.isEmpty)
    try server.psql("create table apart tablespace elsewhere as select generate_series(1, 1000) i")
  }

  private func expectMeasured(_ report: JSON) {
    let parts = (report["phases"].array ?? []).filter { $0["name"].text != "checks" }
    let sum = parts.reduce(0) { $0 + ($1["durationSeconds"].number ?? 0) }
    #expect(abs((report["measuredRTOSeconds"].number ?? 0) - sum) < 0.001)
  }

  @Test("to any instant of any backup passes as well, and warns of values that fell") func random() throws {
    try PostgresServer.run { server in
      try Ledger.create(server)
      try server.psql("insert into ledger (written) select now() from generate_series(1, 100)")
      try BackupSite.run(server) { site in
        try site.configureDrill(server, keys: ["pick: random", "target: random"], heartbeat: false)
        try site.withDaemon { _ in
          _ = try site.backup()
          try server.psql("insert into ledger (written) values (now())")
          try site.waitUntilDurable(server)
          let first = try site.drill()
          #expect(first["outcome"].text == "succeeded", "\(first)")
          try server.psql("delete from ledger where id > 10")
          _ = try site.backup()
          try site.waitUntilDurable(server)
          try site.configureDrill(server, heartbeat: false)
          try site.succeed("reload")
          let second = try site.drill()
          #expect(second["outcome"].text == "succeeded")
          #expect(second["checks"][0]["verdict"].text == "warning", "\(second["checks"])")
          #expect(second["history"].array?.count == 2 && second["trend"].number != nil)
          #expect(try site.succeed("drill").contains("RTO"))
        }
      }
    }
  }

  private static let keys: Set = [
    "job", "cluster", "nextRun", "running", "run", "outcome", "started", "finished", "backup", "totalBytes", "phases",
    "drill", "measuredRTOSeconds", "checks", "warnings", "error", "trend", "history",
  ]
  private static let historyKeys: Set = ["run", "started", "outcome", "totalBytes", "measuredRTOSeconds"]
}

@Suite("A drill fails and says why", .serialized) struct FailingDrillTests {
  @Test("where the checks find nothing, a library is missing, an object is damaged or WAL is") func fails() throws {
    try PostgresServer.run { server in
      try server.pgbenchInitialize()
      try Ledger.create(server)
      try BackupSite.run(server) { site in
        try site.configureDrill(server, heartbeat: false)
        try site.withDaemon { _ in
          _ = try site.backup()
          try server.psql("insert into ledger (written) values (now())")
          try site.waitUntilDurable(server)
          try configure(site, server, checks: "select 'lost' as name, count(*) as value from lost_table;\n")
          try site.failingDrill("line 1", "lost_table")
          try configure(site, server, keys: ["amcheck: false"], checks: "set work_mem = '8MB';\n")
          try site.failingDrill("could not look at anything")
          try configure(site, server, keys: ["preload: no_such_library"])
          try site.failingDrill("no_such_library", "No such file")
          try configure(site, server, keys: ["scratch: \(site.directory)/nowhere"])
          try site.failingDrill("does not exist", "nowhere")
          try configure(site, server)
          #expect(try site.drill()["outcome"].text == "succeeded")
          try damagePage(server)
          _ = try site.backup()
          try configure(site, server, keys: ["amcheck: false"])
          try site.failingDrill("page checksums", "block 1 of")
          try damage(site, part: "packs") { try flipBytes(of: $0) }
          try site.failingDrill("damaged")
        }
      }
    }
  }

  @Test("where WAL makes a tablespace at its own place, and leaves the original's alone") func tablespace() throws {
    try PostgresServer.run { server in
      try Ledger.create(server)
      try BackupSite.run(server) { site in
        try site.configureDrill(server, heartbeat: false)
        try site.withDaemon { _ in
          _ = try site.backup()
          _ = try server.createTablespace("late")
          try server.psql("create table late tablespace late as select i from generate_series(1, 10000) i; checkpoint")
          let file = try server.psql("select pg_relation_filepath('late')")
          let path = server.dataDirectory + "/" + file
          let before = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
          try site.waitUntilDurable(server)
          try site.failingDrill("could not create file", "take a backup after making a tablespace")
          #expect(try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date == before)
          #expect(try server.psql("select count(*) from late") == "10000")
        }
      }
    }
  }

  @Test("where no heartbeat was written after the backup; and what keeps it from being written is told")
  func heartbeat() throws {
    try PostgresServer.run { server in
      try Ledger.create(server)
      try BackupSite.run(server) { site in
        try AlertChannels.run(site) { channels in
          try site.configureDrill(server, keys: ["amcheck: false"], checks: nil)
          try channels.extendConfiguration()
          try ConditionSite.run(channels) { conditions in
            try Poll.until(.seconds(30), "a heartbeat") {
              try server.psql("select to_regclass('backupd.heartbeat') is not null") == "t"
                && server.psql("select count(*) from backupd.heartbeat") == "1"
            }
            try server.psql(
              """
              create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$;
              create trigger refuse before insert or update on backupd.heartbeat execute function refuse();
              """)
            _ = try site.backup()
            try server.psql("insert into ledger (written) values (now())")
            try site.waitUntilDurable(server)
            try site.failingDrill("heartbeat", "nothing after it is proven")
            let (beat, drill) = ("heartbeat:main", "job:validation")
            #expect(try conditions.expectRaised(beat, severity: "warning", besides: [drill]).contains("not now"))
            try conditions.expectRaised(drill, severity: "critical", besides: [beat])
            try server.psql("drop trigger refuse on backupd.heartbeat")
            try conditions.expectResolved(beat, besides: [drill])
            try site.waitUntilDurable(server)
            #expect(try site.drill()["outcome"].text == "succeeded")
            try conditions.expectResolved(drill, besides: [beat])
          }
        }
      }
    }
  }

  @Test("where a WAL segment is missing") func missingSegment() throws {
    try PostgresServer.run { server in
      try Ledger.create(server)
      try BackupSite.run(server) { site in
        try site.configureDrill(server, heartbeat: false)
        try site.withDaemon { _ in
          _ = try site.backup()
          for _ in 1...3 { try server.psql("insert into ledger (written) values (now()); select pg_switch_wal()") }
          try site.waitUntilDurable(server)
          let segments = try site.objects("wal").filter { !$0.contains(".partial") }.sorted()
          try #require(segments.count >= 3)
          try FileManager.default.removeItem(
            atPath: path(site, "wal", segments[segments.count - 2]))
          try site.failingDrill("WAL is missing")
        }
      }
    }
  }

  private func configure(
    _ site: BackupSite, _ server: PostgresServer, keys: [String] = [], checks: String = BackupSite.ledgerCheck
  ) throws {
    try site.configureDrill(server, keys: keys, heartbeat: false, checks: checks)
    try site.succeed("reload")
  }

  private func path(_ site: BackupSite, _ part: String, _ object: String) -> String {
    let parts = object.split(separator: "/", maxSplits: 1)
    return "\(site.store)/clusters/main/\(parts[0])/\(part)/\(parts[1])"
  }

  /// One page of the original's disk is lost before the backup, which stores it as it is and says so.
  private func damagePage(_ server: PostgresServer) throws {
    try server.psql("create table broken as select i from generate_series(1, 2000) i; checkpoint")
    let path = server.dataDirectory + "/" + (try server.psql("select pg_relation_filepath('broken')"))
    let file = try FileHandle(forUpdating: URL(filePath: path))
    try file.seek(toOffset: 8192 + 5000)
    try file.write(contentsOf: [0xFF, 0xFE, 0xFD])
    try file.close()
  }

  /// Changes the largest object of a part.
  private func damage(_ site: BackupSite, part: String, _ change: (String) throws -> Void) throws {
    let paths = try site.objects(part).map { path(site, part, $0) }
    let sizes = try paths.map { try Data(contentsOf: URL(filePath: $0)).count }
    let largest = try #require(zip(paths, sizes).max { $0.1 < $1.1 })
    try change(largest.0)
  }

  private func flipBytes(of path: String) throws {
    var data = try Data(contentsOf: URL(filePath: path))
    let middle = data.startIndex + data.count / 2
    data[middle] ^= 0xFF
    #expect(chmod(path, 0o600) == 0)
    try data.write(to: URL(filePath: path))
  }
}

@Suite("A drill that is interrupted", .serialized) struct InterruptedDrillTests {
  @Test("leaves nothing once the killed daemon starts again, in whatever phase") func kills() throws {
    try PostgresServer.run(version: 15) { server in
      try server.pgbenchInitialize(scale: 4)
      try Ledger.create(server)
      try server.psql("insert into ledger (written) values (now())")
      try BackupSite.run(server) { site in
        let checks = BackupSite.ledgerCheck + "select pg_sleep(1);\n"
        try site.configureDrill(server, heartbeat: false, checks: checks)
        try site.withDaemon { _ in
          _ = try site.backup()
          try server.pgbench(transactions: 300)
          try site.waitUntilDurable(server)
        }
        for (number, phase) in ["copy", "replay", "start", "checks"].enumerated() {
          try killIn(phase, site, withServer: number % 2 == 1)
        }
        let report = try site.withDaemon { _ in try site.drill() }
        #expect(report["outcome"].text == "succeeded")
      }
    }
  }

  /// - Parameter withServer: Whether the scratch server is killed too, as by the service manager.
  private func killIn(_ phase: String, _ site: BackupSite, withServer: Bool) throws {
    var segment: String?
    try site.withDaemon { daemon in
      _ = try site.beginDrill(waitingFor: phase)
      try daemon.kill()
      segment = try site.scratchSegment()
      if withServer { for pid in try site.scratchProcesses() { kill(pid, SIGKILL) } }
      #expect(try site.leftovers() == ["validation"], "killed in \(phase)")
    }
    try site.withDaemon { _ in
      try Poll.until(.seconds(30), "what was left of \(phase) removed") { try site.leftovers().isEmpty }
      try site.expectNothingLeft()
      if let segment { #expect(try !site.sharedMemory().contains(segment), "shared memory of \(phase)") }
    }
  }

  @Test("leaves nothing when it is cancelled, or the daemon stops") func cancels() throws {
    try PostgresServer.run(version: 18) { server in
      try Ledger.create(server)
      try server.psql("insert into ledger (written) values (now())")
      try BackupSite.run(server) { site in
        let scratch = site.directory + "/scratch"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: false)
        try ProgramUser.postgres.own(scratch)
        let checks = BackupSite.ledgerCheck + "select pg_sleep(100);\n"
        try site.configureDrill(server, keys: ["scratch: \(scratch)"], heartbeat: false, checks: checks)
        try site.withDaemon { daemon in
          _ = try site.backup()
          let run = try site.beginDrill(waitingFor: "checks")
          #expect(try FileManager.default.contentsOfDirectory(atPath: scratch) == ["backupd-drill-validation"])
          try site.succeed("cancel", run)
          try Poll.until(.seconds(30), "the cancelled drill") {
            try site.json("runs", "validation")[0]["outcome"].text == "cancelled"
          }
          try site.expectNothingLeft()
          _ = try site.beginDrill(waitingFor: "checks")
          try daemon.stop()
          try site.expectNothingLeft()
          #expect(try FileManager.default.contentsOfDirectory(atPath: scratch) == [])
        }
        // Found where it was, though the configuration names another place by now.
        try site.withDaemon { daemon in
          _ = try site.beginDrill(waitingFor: "checks")
          try daemon.kill()
        }
        try site.configureDrill(server, heartbeat: false)
        try site.withDaemon { _ in
          try Poll.until(.seconds(30), "the scratch directory removed") {
            try FileManager.default.contentsOfDirectory(atPath: scratch).isEmpty
          }
          try site.expectNothingLeft()
        }
      }
    }
  }
}
