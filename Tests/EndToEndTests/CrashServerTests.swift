import BackupModel
import FoundationEssentials
import TestSupport
import Testing

@Suite("A server that goes away", .serialized) struct CrashServerTests {
  enum End: String, CaseIterable { case fast, immediate, crash }

  @Test("fails the backup with a reason; WAL goes on without a gap", arguments: [(18, 1)])
  func survivesRestarts(version: Int, rounds: Int) throws { try restart(version: version, rounds: rounds) }

  @Test(
    "fails the backup with a reason, Soak: ten rounds", .enabled(if: Soak.isOn), arguments: [15, 16, 17, 18])
  func survivesRestartsSoak(version: Int) throws { try restart(version: version, rounds: 10) }

  private func restart(version: Int, rounds: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.pgbenchInitialize(scale: 1)
      try Ledger.create(server)
      try BackupSite.run(server, change: { $0.physical = ["retries: 0", "rate: 4MiB"] }) { site in
        try site.withDaemon { daemon in
          for _ in 1...rounds {
            for end in End.allCases { try interrupt(site, server, end) }
          }
          try site.waitUntilDurable(server)
          try site.expectUnbrokenWAL()
          #expect(try site.json("backups") == .array([]))
          try site.writeConfiguration(site.standardConfiguration.replacing(", rate: 4MiB", with: ""))
          try site.succeed("reload")
          _ = try site.backup()
          try server.psql("insert into ledger (written) values (clock_timestamp())")
          try site.expectSoundBackups(atLeast: 1)
          try Ledger.expectRestored(site, of: server)
          #expect(daemon.isRunning)
        }
      }
    }
  }

  private func interrupt(_ site: BackupSite, _ server: PostgresServer, _ end: End) throws {
    let run = try site.beginBackup()
    try site.waitUntilCopying(run)
    try server.underLoad(clients: 1, script: Ledger.script) { _ in
      switch end {
      case .fast: try server.stop(.fast)
      case .immediate: try server.stop(.immediate)
      case .crash: try server.crash()
      }
    }
    try server.start()
    let ended = try site.waitUntilEnded(run)
    #expect(ended["outcome"].text == "failed", "\(end): \(ended)")
    site.expectThreeParts(ended["error"])
    #expect(try site.objects("packs") == [], "\(end): packs of a failed run stayed")
    #expect(try site.objects("backups") == [])
    try server.psql("insert into ledger (written) values (clock_timestamp())")
    try site.waitUntilDurable(server)
    try site.expectUnbrokenWAL()
  }
}

@Suite("A slot dropped behind our back", .serialized) struct CrashSlotTests {
  /// Small segments, and none kept that nobody holds: WAL is really gone.
  private func run(_ body: (PostgresServer, BackupSite) throws -> Void) throws {
    let options = ["wal_keep_size": "0", "min_wal_size": "2MB", "max_wal_size": "8MB"]
    try PostgresServer.run(version: 17, options: options, initdb: ["--wal-segsize=1"]) { server in
      try Ledger.create(server)
      // Others' slots, one of them named much like ours. They hold no WAL.
      for name in ["other", "backupd_main2"] {
        try server.psql("select pg_create_physical_replication_slot('\(name)')")
      }
      try BackupSite.run(server) { site in try body(server, site) }
    }
  }

  private func expectForeignSlotsUntouched(_ server: PostgresServer) throws {
    #expect(
      try server.psql("select slot_name from pg_replication_slots order by 1") == "backupd_main\nbackupd_main2\nother")
  }

  private func writeWAL(_ server: PostgresServer, segments: Int) throws {
    for _ in 1...segments {
      try server.psql("insert into ledger (written) values (clock_timestamp()); select pg_switch_wal()")
    }
    try server.psql("checkpoint; checkpoint")
  }

  @Test("is made again at once; nothing is lost while the server still has the WAL") func remade() throws {
    try run { server, site in
      try site.withDaemon { daemon in
        _ = try site.backup()
        let drop = """
          do $$ begin
            for attempt in 1..200 loop
              begin
                perform pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'backupd_main';
                perform pg_sleep(0.01);
                perform pg_drop_replication_slot('backupd_main');
                return;
              exception when object_in_use then null;
              end;
            end loop;
            raise 'still in use';
          end $$;
          """
        try server.psql(drop)
        try server.psql("insert into ledger (written) values (clock_timestamp())")
        try site.waitUntilDurable(server)
        try site.expectUnbrokenWAL()
        try expectForeignSlotsUntouched(server)
        #expect(daemon.isRunning)
      }
    }
  }

  @Test("while the daemon is down: the gap is recorded and told, and a new backup closes it") func lost() throws {
    try run { server, site in
      try site.withDaemon { _ in
        _ = try site.backup()
        try site.waitUntilDurable(server)
      }
      try server.psql("select pg_drop_replication_slot('backupd_main')")
      try writeWAL(server, segments: 30)
      try site.withDaemon { daemon in
        try Poll.until(.seconds(60), "a gap", every: .milliseconds(100)) {
          try site.json("wal", "gaps")[0]["recorded"].bool == true
        }
        let gap = try site.json("wal", "gaps")[0]
        let from = try LSN(try #require(gap["fromLSN"].text))
        let to = try LSN(try #require(gap["toLSN"].text))
        #expect(from < to)
        #expect(gap["reason"].text?.isEmpty == false)
        #expect(daemon.log.contains("WAL is missing"))
        try Poll.until(.seconds(60), "a backup taken by itself", every: .milliseconds(100)) {
          try site.runs.last?["trigger"].text == "retry" && site.runs.last?["outcome"].text == "succeeded"
        }
        #expect(try site.json("wal", "list").array?.count == 2)
        #expect(try site.json("wal", "gaps").array?.count == 1)
        try expectForeignSlotsUntouched(server)
        try server.psql("insert into ledger (written) values (clock_timestamp())")
        try Ledger.expectRestored(site, of: server)
        // The old backup stays: its own window is as good as before.
        try site.expectSoundBackups(atLeast: 2)
        let status = try site.backupctl("status")
        #expect(status.status == .exited(0), "the new backup settled it: \(status.standardOutput)")
      }
    }
  }

  @Test("without a physical job that can run: the condition stays") func conditionStays() throws {
    try run { server, site in
      try site.withDaemon { _ in try site.waitUntilDurable(server) }
      // This time the server gives the slot up by itself.
      try server.psql("alter system set max_slot_wal_keep_size = '2MB';\nselect pg_reload_conf()")
      try writeWAL(server, segments: 30)
      #expect(try server.psql("select wal_status from pg_replication_slots where slot_name = 'backupd_main'") == "lost")
      let text = site.standardConfiguration.split(separator: "\n").filter { !$0.contains("kind: physical") }
      try site.writeConfiguration(text.joined(separator: "\n") + "\n")
      for _ in 1...2 {
        try site.withDaemon { _ in
          try Poll.until(.seconds(60), "exit status 3", every: .milliseconds(100)) {
            try site.backupctl("status").status == .exited(3)
          }
          let condition = try site.json("status")["conditions"][0]
          #expect(condition["id"].text == "wal-gap:main")
          #expect(condition["severity"].text == "critical")
          site.expectThreeParts(condition, mentioning: "missing")
        }
      }
    }
  }
}

@Suite("Another cluster behind a known name", .serialized) struct CrashForeignTests {
  @Test("is refused by backup and WAL, and nothing is written anywhere") func refused() throws {
    try PostgresServer.run { server in
      try PostgresServer.run { foreign in
        try BackupSite.run(server, change: { $0.physical = ["retries: 0"] }) { site in
          try site.withDaemon { _ in
            _ = try site.backup()
            try site.waitUntilDurable(server)
          }
          let before = try site.objects("")
          let words = [try identifier(server), try identifier(foreign)]
          try site.writeConfiguration(
            site.standardConfiguration.replacing(server.connection, with: foreign.connection))
          try expectRefused(site, words)
          // A daemon on a new host knows the cluster by the repository alone.
          try FileManager.default.removeItem(atPath: site.state)
          try expectRefused(site, words)
          #expect(try site.objects("") == before)
          #expect(try foreign.psql("select count(*) from pg_replication_slots") == "0")
        }
      }
    }
  }

  private func expectRefused(_ site: BackupSite, _ identifiers: [String]) throws {
    try site.withDaemon { _ in
      try Poll.until(.seconds(30), "a condition", every: .milliseconds(100)) {
        try site.backupctl("status").status == .exited(3)
      }
      site.expectThreeParts(
        try site.json("status")["conditions"][0], mentioning: identifiers[0], identifiers[1])
      #expect(try site.backupctl("run", "physical").status == .exited(1))
      site.expectThreeParts(try #require(try site.runs.last)["error"], mentioning: identifiers[0], identifiers[1])
    }
  }

  private func identifier(_ server: PostgresServer) throws -> String {
    try server.psql("select system_identifier from pg_control_system()")
  }
}
