import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("WAL of two hosts", .serialized) struct WALFailoverTests {
  @Test("goes on with the standby that was promoted, on its timeline, without a gap", arguments: [15, 18])
  func promoted(version: Int) throws {
    try PostgresServer.run(version: version) { primary in
      try Numbers.create(primary)
      try StandbyServer.run(of: primary, version: version) { standby in
        let both = ServerPair.connection([primary, standby])
        try BackupSite.run(primary, change: { $0.connection = both }) { site in
          try site.withDaemon { daemon in
            try Numbers.add(1, primary)
            try site.backup()
            try ArchiveCommandTests.fill(primary, 2)
            try Numbers.add(3, primary)
            try site.waitUntilDurable(primary)
            try StandbyServer.wait(for: standby, toFollow: primary)
            try primary.stop()
            try standby.psql("select pg_promote()")
            try Numbers.add(4, standby)
            try ArchiveCommandTests.fill(standby, 5)
            try site.waitUntilDurable(standby, deadline: .seconds(120))
            let status = try site.json("wal", "status")[0]
            #expect(status["timeline"].integer == 2 && status["state"].text == "streaming", "\(status)")
            #expect(try site.json("wal", "gaps") == .array([]))
            #expect(daemon.isRunning)
          }
          let directory = try site.fresh("restored")
          try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
          try PostgresServer.startRestored(directory: directory, version: version) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2, 3, 4, 5])
          }
        }
      }
    }
  }

  @Test("goes on where a standby was promoted that lacks WAL, and keeps what it lacks", arguments: [15, 18])
  func forked(version: Int) throws {
    try ServerPair.run(version: version, address: nil) { start in
      var pair = start
      try Numbers.create(pair.primary)
      try BackupSite.run(pair.primary, change: { $0.connection = pair.connection(overNetwork: false) }) { site in
        try site.withDaemon { daemon in
          try Numbers.add(1, pair.primary)
          try site.backup()
          try Numbers.add(2, pair.primary)
          try pair.waitForStandby()
          try pair.standby.stop()
          try ArchiveCommandTests.fill(pair.primary, 3)
          // A backup of what will be left behind: nothing may lead back there.
          try site.backup()
          try site.waitUntilDurable(pair.primary)
          try pair.primary.stop(.immediate)
          try pair.start(pair.standby)
          try pair.failOver()
          try Numbers.add(4, pair.primary)
          try site.waitUntilDurable(pair.primary, deadline: .seconds(120))
          #expect(daemon.log.contains("goes on without WAL that is held"))
          try Poll.until(.seconds(60), "the backup that was asked for", every: .milliseconds(200)) {
            try site.json("backups").array?.contains { $0["timeline"].integer == 2 } ?? false
          }
          try Numbers.add(5, pair.primary)
          try site.waitUntilDurable(pair.primary)
          #expect(try site.json("wal", "gaps") == .array([]))
        }
        let first = try #require(try site.json("backups").array?.last?["id"].text)
        for (target, numbers) in [
          ([], [1, 2, 4, 5]), (["--timeline", "1"], [1, 2, 3]), (["--backup", first], [1, 2, 4, 5]),
        ] {
          let directory = try site.fresh("restored")
          defer { try? FileManager.default.removeItem(atPath: directory) }
          try site.succeed(["restore", directory, "--cluster", BackupSite.cluster] + target)
          try PostgresServer.startRestored(directory: directory, version: version) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == numbers, "\(target)")
          }
        }
      }
    }
  }
}

/// Where temporary files lie.
enum TemporaryDisk {
  static let isVolatile =
    (try? Program.succeed("stat", ["-f", "-c", "%T", FileManager.default.temporaryDirectory.path]))?.contains("tmpfs")
    == true
}

@Suite("A synchronous job", .serialized, .enabled(if: !TemporaryDisk.isVolatile, "needs a disk for temporary files"))
struct SynchronousTests {
  @Test("loses no commit that a client was told of, whatever the server's disk keeps", arguments: [15, 18])
  func losesNothing(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.psql("create table kept (number int primary key)")
      try BackupSite.run(server) { site in
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(of: "kind: wal,", with: "kind: wal, synchronous: true,"))
        var told: [Int] = []
        try site.withDaemon { daemon in
          try site.backup()
          try site.waitUntilDurable(server)
          #expect(daemon.log.contains("do not wait for backupd"), "the server does not name it yet")
          try server.psql("alter system set synchronous_standby_names = 'backupd_main'")
          try server.psql("select pg_reload_conf()")
          try Poll.until(.seconds(30), "the server to wait for it") {
            try server.psql("select sync_state from pg_stat_replication") == "sync"
          }
          // On the server's own host it promises no more than that they wait.
          try Poll.until(.seconds(30), "the status to say so", every: .milliseconds(200)) {
            let status = try site.json("wal", "status")[0]
            return status["commitsWait"].bool == true && status["losesNothing"].bool == false
          }
          for number in 1...30 {
            try server.psql("insert into kept values (\(number))")
            told.append(number)
          }
          try daemon.kill()
        }
        try site.withDaemon { _ in
          // What was open is taken up again, and the segment after it begun.
          for number in 31...60 {
            try server.psql("insert into kept values (\(number))")
            told.append(number)
            if number == 40 { try server.psql("select pg_switch_wal()") }
          }
          // Its disk is gone at this moment; the daemon ships what it holds.
          try server.crash()
          let landed = try LSN(try #require(try site.json("wal", "status")[0]["flushedLSN"].text))
          try Poll.until(.seconds(30), "what it holds in the store", every: .milliseconds(100)) {
            try site.json("wal", "status")[0]["stores"][0]["durableLSN"].text.map { try LSN($0) >= landed } ?? false
          }
        }
        let directory = try site.fresh("restored")
        try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
        try PostgresServer.startRestored(directory: directory, version: version) { copy in
          try copy.waitUntilPromoted()
          let rows = try copy.psql("select number from kept order by 1").split(separator: "\n").compactMap { Int($0) }
          #expect(rows == told)
        }
        try server.start()
      }
    }
  }
}
