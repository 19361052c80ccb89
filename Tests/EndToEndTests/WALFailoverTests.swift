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
        let both = Self.connection(primary, standby)
        try BackupSite.run(primary, change: { $0.connection = both }) { site in
          try site.withDaemon { daemon in
            try Numbers.add(1, primary)
            try site.backup()
            try ArchiveCommandTests.fill(primary, 2)
            try Numbers.add(3, primary)
            try site.waitUntilDurable(primary)
            let written = try primary.psql("select pg_current_wal_lsn()")
            try Poll.until(.seconds(30), "the standby") {
              try standby.psql("select pg_last_wal_replay_lsn() >= '\(written)'::pg_lsn") == "t"
            }
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

  /// Both hosts; libpq takes the one that is a primary.
  private static func connection(_ first: PostgresServer, _ second: PostgresServer) -> String {
    func value(_ key: String, _ server: PostgresServer) -> String {
      let word = server.connection.split(separator: " ").first { $0.hasPrefix(key + "=") } ?? ""
      return String(word.dropFirst(key.count + 1))
    }
    return
      "host=\(value("host", first)),\(value("host", second)) port=\(value("port", first)),\(value("port", second)) "
      + "user=postgres dbname=postgres target_session_attrs=read-write connect_timeout=5"
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
