import Foundation
import TestSupport
import Testing

/// A streaming standby of a server, running.
enum StandbyServer {
  static func run<Result>(
    of primary: PostgresServer, version: Int, application: String? = nil, _ body: (PostgresServer) throws -> Result
  ) throws -> Result {
    try TemporaryDirectory.run { directory in
      try ProgramUser.postgres.own(directory)
      let data = directory + "/standby"
      try copy(primary, to: data, application: application)
      return try PostgresServer.startRestored(directory: data, version: version, body)
    }
  }

  /// A data directory that follows a primary once a server is started on it.
  /// - Parameter application: The name under which the primary may wait for it.
  static func copy(_ primary: PostgresServer, to directory: String, application: String? = nil) throws {
    let name = application.map { " application_name=\($0)" } ?? ""
    try Program.succeed(
      primary.installation.program("pg_basebackup"),
      ["-d", primary.connection, "-D", directory, "-R", "-X", "stream", "-c", "fast"], as: .postgres)
    // What pg_basebackup wrote may name options that the server's own libpq does not know; the last line counts.
    let path = directory + "/postgresql.auto.conf"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try "\(text)primary_conninfo = '\(primary.connection)\(name)'\n".write(
      toFile: path, atomically: false, encoding: .utf8)
  }

  /// Returns once the standby has replayed what the primary has written.
  static func wait(for standby: PostgresServer, toFollow primary: PostgresServer) throws {
    let wanted = try primary.psql("select pg_current_wal_lsn()")
    try Poll.until(.seconds(60), "replay up to \(wanted); \(standby.log.suffix(2000))") {
      try standby.psql("select pg_last_wal_replay_lsn() >= '\(wanted)'::pg_lsn") == "t"
    }
  }
}

@Suite("A backup from a standby", .serialized) struct StandbyBackupTests {
  private static func rows(_ server: PostgresServer) throws -> String {
    try server.psql("select count(*) || ' ' || coalesce(sum(i), 0) from t")
  }

  private func restored(_ site: BackupSite, _ backup: String, version: Int) throws -> String {
    let target = try site.fresh("restored-\(backup)")
    try site.succeed("restore", target, "--cluster", BackupSite.cluster, "--backup", backup)
    return try PostgresServer.startRestored(directory: target, version: version) { server in
      try server.waitUntilPromoted()
      return try Self.rows(server)
    }
  }

  @Test(
    "restores to the primary's rows, whether WAL comes from the primary or from the standby itself",
    arguments: [(15, "direct", "primary"), (18, "stream", "primary"), (18, "direct", "standby")])
  func restores(version: Int, source: String, wal: String) throws {
    try PostgresServer.run(version: version) { primary in
      try primary.psql("create table t as select i, repeat('x', 100) from generate_series(1, 20000) i")
      try StandbyServer.run(of: primary, version: version) { standby in
        let change: (inout BackupSite.Options) -> Void = { options in
          options.physical = ["source: \(source)", "retries: 0"]
          options.clusterKeys = ["data-directory: \(standby.dataDirectory)"]
          if wal == "standby" { options.connection = standby.connection }
          if wal == "primary" { options.clusterKeys.append("standby: \"\(standby.connection)\"") }
        }
        try BackupSite.run(primary, change: change) { site in
          try site.withDaemon { _ in
            try site.waitUntilStreaming()
            // Replay must be past the start of what is received, or there is nothing to prove.
            try primary.psql("checkpoint")
            try StandbyServer.wait(for: standby, toFollow: primary)
            var backups: [String] = []
            for _ in 0..<2 {
              backups.append(try site.backup())
              try primary.psql("update t set i = i + 1 where i % 50 = 0; insert into t values (1, 'y')")
              try StandbyServer.wait(for: standby, toFollow: primary)
            }
            #expect(try site.json("show", backups[1])["source"].text == source)
            #expect(try site.json("show", backups[1])["parent"].text == backups[0])
            try site.waitUntilDurable(primary)
            let expected = try Self.rows(primary)
            for backup in backups { #expect(try restored(site, backup, version: version) == expected) }
          }
        }
      }
    }
  }

  @Test("fails where the standby is promoted meanwhile, and leaves nothing", arguments: ["stream", "direct"])
  func promoted(source: String) throws {
    try PostgresServer.run { primary in
      try primary.psql("create table t as select i, repeat('x', 1000) from generate_series(1, 60000) i")
      try StandbyServer.run(of: primary, version: 15) { standby in
        let change: (inout BackupSite.Options) -> Void = { options in
          options.physical = ["source: \(source)", "retries: 0", "rate: 20MiB/s"]
          options.clusterKeys = [
            "data-directory: \(standby.dataDirectory)", "standby: \"\(standby.connection)\"",
          ]
        }
        try BackupSite.run(primary, change: change) { site in
          try site.withDaemon { _ in
            try site.waitUntilStreaming()
            try primary.psql("checkpoint")
            try StandbyServer.wait(for: standby, toFollow: primary)
            let run = try Program.running(
              site.program("backupctl"), ["run", "physical", "--json"],
              environment: ["BACKUPD_CONFIG": site.configuration], as: .postgres
            ) { program in
              try Poll.until(.seconds(60), "the backup copying") {
                try (site.json("status")["running"][0]["progress"]["doneBytes"].integer ?? 0) > 4 << 20
              }
              try standby.psql("select pg_promote()")
              return try JSON(parsing: try program.waitForExit(deadline: .seconds(120)).standardOutput)
            }
            #expect(run["outcome"].text == "failed")
            #expect(run["error"]["detail"].text?.contains("promoted") == true, "\(run["error"])")
            #expect(try site.json("backups").array?.isEmpty == true)
          }
        }
      }
    }
  }
}

extension BackupSite {
  /// Returns once WAL is received.
  func waitUntilStreaming() throws {
    try Poll.until(.seconds(60), "WAL streaming") {
      try json("wal", "status")[0]["state"].text == "streaming"
    }
  }
}
