import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A dump that is disturbed", .serialized) struct LogicalFailureTests {
  @Test("by a server that stops fails with the cause, and leaves nothing", arguments: [1, 2])
  func serverStops(parallel: Int) throws {
    try PostgresServer.run { server in
      try LogicalSite.seed(server)
      try LogicalSite.run(server, jobs: ["app: {parallel: \(parallel)}"]) { site, _ in
        try site.succeed("run", "app", "--no-wait")
        try LogicalSite.waitUntilCopying(server)
        try server.stop(.immediate)
        let run = try LogicalSite.ended(site, "app")
        #expect(run["outcome"].text == "failed")
        let error = "\(run["error"]["summary"].text ?? "") \(run["error"]["detail"].text ?? "")"
        #expect(error.contains("server closed the connection unexpectedly"), "\(error)")
        try Self.expectNothingLeft(site)
        try server.start()
        #expect(try site.json("run", "app")["outcome"].text == "succeeded")
      }
    }
  }

  @Test("by a full store fails with the cause, and leaves nothing") func storeFull() throws {
    try SmallDisk.run(megabytes: 48) { disk in
      try PostgresServer.run { server in
        try LogicalSite.seed(server)
        try LogicalSite.run(server, store: disk + "/repository", jobs: ["app: {}", "small: {tables: [small]}"]) {
          site, _ in
          let run = try site.json("run", "app")
          #expect(run["outcome"].text == "failed")
          let error = "\(run["error"]["summary"].text ?? "") \(run["error"]["detail"].text ?? "")"
          #expect(error.contains("No space left on device"), "\(error)")
          try Self.expectNothingLeft(site)
          #expect(try site.json("run", "small")["outcome"].text == "succeeded")
        }
      }
    }
  }

  private static func expectNothingLeft(_ site: BackupSite) throws {
    #expect(try site.json("backups").array?.isEmpty == true)
    #expect(try LogicalJobTests.packs(site).isEmpty)
    let temporary = try FileManager.default.subpathsOfDirectory(atPath: site.store + "/tmp")
    #expect(temporary.isEmpty)
  }

  @Test("by kill -9 of the daemon leaves no child; the next takes over what was there, and prune what was left")
  func killed() throws {
    try PostgresServer.run { server in
      try LogicalSite.seed(server)
      try LogicalSite.run(server, jobs: ["app: {parallel: 2}", "whole: {full: true, parallel: 2}"]) { site, daemon in
        let first = try #require(try site.json("run", "app")["backup"].text)
        let before = Set(try LogicalJobTests.packs(site))
        try site.succeed("run", "whole", "--no-wait")
        try Poll.until(.seconds(60), "a pack of the second run", every: .milliseconds(10)) {
          try LogicalJobTests.packs(site).count > before.count
        }
        let children = try LogicalSite.children(of: daemon.pid)
        #expect(children.contains { $0.command.contains("pg_dump") })
        try daemon.kill()
        try Poll.until(.seconds(30), "the end of the daemon's children", every: .milliseconds(50)) {
          children.allSatisfy { kill($0.pid, 0) != 0 && errno == ESRCH }
        }
        #expect(try server.psql(Self.sessions) == "0")
        let left = Set(try LogicalJobTests.packs(site)).subtracting(before)
        #expect(!left.isEmpty)
        try site.withDaemon { _ in
          try server.psql("UPDATE big SET text = 'changed' WHERE id % 20000 = 0", database: "app")
          let run = try site.json("run", "app")
          #expect(run["outcome"].text == "succeeded")
          let (new, total) = (try #require(run["newBytes"].integer), try #require(run["totalBytes"].integer))
          #expect(new * 20 < total)
          let backups = try #require(try site.json("backups").array)
          #expect(backups.count == 2 && backups[1]["parent"].text == first)
        }
        // The daemon prunes behind a backup; not beside it.
        try site.pruneLater(.seconds(4 * 86400))
        #expect(left.isDisjoint(with: try LogicalJobTests.packs(site)))
        try site.expectSoundBackups(atLeast: 2)
      }
    }
  }

  private static let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'backupd dump%'"

  @Test("by a table that is dropped before it is locked fails with pg_dump's words; the next does not")
  func tableDropped() throws {
    try PostgresServer.run { server in
      try LogicalJobTests.seed(server)
      try LogicalSite.run(server, jobs: ["one: {}", "three: {parallel: 3}"]) { site, _ in
        for job in ["one", "three"] {
          try server.psql("CREATE TABLE gone AS SELECT generate_series(1, 1000)", database: "app")
          try server.dropping("gone", database: "app") { drop in
            try site.succeed("run", job, "--no-wait")
            try Poll.until(.seconds(60), "pg_dump waiting for the lock", every: .milliseconds(50)) {
              try server.psql("\(Self.sessions) AND wait_event_type = 'Lock'") == "1"
            }
            try drop()
            let run = try LogicalSite.ended(site, job)
            #expect(run["outcome"].text == "failed")
            #expect(run["error"]["summary"].text?.contains("relation \"public.gone\" does not exist") == true)
          }
          #expect(try site.json("backups").array?.contains { $0["job"].text == job } == false)
          #expect(try site.json("run", job)["outcome"].text == "succeeded")
        }
      }
    }
  }
}

@Suite("A logical backup's server", .serialized) struct LogicalServerTests {
  @Test("may be a standby") func standby() throws {
    try PostgresServer.run { primary in
      try LogicalJobTests.seed(primary)
      try primary.psql("CREATE UNLOGGED TABLE forgotten AS SELECT 1 AS a", database: "app")
      try StandbyServer.run(of: primary, version: 15) { standby in
        try StandbyServer.wait(for: standby, toFollow: primary)
        try LogicalSite.run(
          standby, jobs: ["one: {}", "two: {parallel: 2}", "later: {serializable-deferrable: true}"]
        ) { site, _ in
          for job in ["one", "two"] {
            let backup = try #require(try site.json("run", job)["backup"].text)
            let lsn = try #require(try site.json("show", backup)["startLSN"].text)
            #expect(try standby.psql("SELECT '\(lsn)'::pg_lsn <= pg_last_wal_replay_lsn()") == "t")
            try primary.psql("CREATE DATABASE \(job)")
            try site.succeed("restore-dump", backup, "--into", job, "--connection", primary.connection)
            let query = "SELECT count(*), sum(id), md5(string_agg(name, ',' ORDER BY id)) FROM users"
            let original = try primary.psql(query, database: "app")
            #expect(try primary.psql(query, database: job) == original)
          }
          let refused = try site.json("run", "later")
          #expect(refused["outcome"].text == "failed")
          #expect(
            "\(refused["error"])".contains("serializable"), "\(refused["error"])")
        }
      }
    }
  }

  @Test("has its password in no command line of a child") func password() throws {
    try PostgresServer.run { server in
      try LogicalJobTests.seed(server)
      try TemporaryDirectory.run { directory in
        let file = directory + "/password"
        try PostgresServer.password.write(toFile: file, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        for path in [directory, file] { try ProgramUser.postgres.own(path) }
        try LogicalSite.run(
          server, keys: ["password: {file: \(file)}"],
          connection: "host=127.0.0.1 port=\(server.port) user=postgres dbname=postgres",
          jobs: ["app: {}", "two: {parallel: 2}"]
        ) { site, daemon in
          for job in ["app", "two"] {
            try server.holdingLock("users", database: "app") {
              try site.succeed("run", job, "--no-wait")
              var commands: [String] = []
              try Poll.until(.seconds(60), "pg_dump waiting for the lock", every: .milliseconds(50)) {
                commands = try LogicalSite.children(of: daemon.pid).map(\.command)
                return try server.psql("\(Self.waiting)") != "0" && commands.contains { $0.contains("pg_dump") }
              }
              #expect(commands.allSatisfy { !$0.contains(PostgresServer.password) && !$0.contains("password=") })
            }
            #expect(try LogicalSite.ended(site, job)["outcome"].text == "succeeded")
          }
          #expect(!daemon.log.contains(PostgresServer.password))
        }
      }
    }
  }

  private static let waiting = """
    SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backupd dump' AND wait_event_type = 'Lock'
    """
}

extension PostgresServer {
  /// Drops a table in a transaction that ends when the closure calls what it is given.
  func dropping(_ table: String, database: String, _ body: (() throws -> Void) throws -> Void) throws {
    let arguments = ["-XAtq", "-d", connection(database: database), "-c"]
    let advisory = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 4711"
    let held = "SELECT pg_advisory_lock(4711); SELECT pg_sleep(3600)"
    try Program.running(installation.program("psql"), arguments + [held]) { _ in
      try Poll.until(.seconds(30), "the advisory lock") {
        try psql("\(advisory) AND granted", database: database) == "1"
      }
      let drop = "BEGIN; DROP TABLE \(table); SELECT pg_advisory_xact_lock(4711); COMMIT"
      try Program.running(installation.program("psql"), arguments + [drop]) { dropping in
        try Poll.until(.seconds(30), "the drop waiting") {
          try psql("\(advisory) AND NOT granted", database: database) == "1"
        }
        try body {
          try psql(
            """
            SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND classid = 0 AND objid = 4711 AND granted
            """, database: database)
          try dropping.waitForExit()
        }
      }
    }
  }
}
