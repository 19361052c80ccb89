import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("A health check", .serialized) struct HealthCheckTests {
  @Test("brings the newest dump back in a scratch database, judges it, and leaves nothing", arguments: [15, 18])
  func sound(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try LogicalJobTests.seed(server)
      // Neither a role that a scratch server lacks nor a text that only this encoding holds is in the way.
      try server.psql(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
      try server.psql(
        "CREATE TABLE words (word text); INSERT INTO words VALUES (chr(228)); ALTER TABLE words OWNER TO app_owner",
        database: "latin")
      let checks = "select 'users' as name, count(*) as value, 1 as min from users;\n"
      try Self.withSite(server, checks: checks) { site in
        let early = try site.json("run", "health")
        #expect(early["outcome"].text == "failed", "\(early)")
        #expect(early["error"]["summary"].text?.hasSuffix("there is none") == true, "\(early["error"])")
        // Rows alone bring back no table.
        try site.succeed("run", "critical")
        let unusable = try site.json("run", "health")
        #expect(unusable["error"]["detail"].text?.contains("definitions as well as rows") == true, "\(unusable)")
        let dump = try #require(try site.json("run", "logical")["backup"].text)
        let run = try site.json("run", "health")
        #expect(run["outcome"].text == "succeeded" && run["backup"].text == dump, "\(run)")
        #expect(run["phases"].array?.map { $0["name"].text } == ["server", "create", "load", "checks", "drop"])
        #expect(Self.value("restored tables", run) == "2" && Self.value("restored rows", run) == "21000")
        #expect(Self.value("users", run) == "20000" && Self.value("server", run) == "accepting connections")
        try Self.expectNoScratch(server, site)
        try site.succeed("run", "latin")
        let other = try site.json("run", "latin-health")
        #expect(other["outcome"].text == "succeeded", "\(other)")
        #expect(Self.value("restored rows", other) == "1", "\(other)")
        // A backup that was restored is none that was made.
        #expect(try site.json("backups").array?.count == 3)
        try Self.expectNoScratch(server, site)
      }
    }
  }

  @Test("fails where a check, the dump, the server or its limits are not as they should be, and says why")
  func unsound() throws {
    try PostgresServer.run { server in
      try LogicalJobTests.seed(server)
      let checks = "select 'users' as name, count(*) as value, 30000 as min from users;\n"
      try Self.withSite(server, checks: checks) { site in
        try site.succeed("run", "logical")
        try server.psql(
          "CREATE TABLE young AS SELECT generate_series(1, 10); INSERT INTO tokens SELECT i, '' FROM generate_series(2000, 9000) i; ANALYZE",
          database: "app")
        let run = try site.json("run", "health")
        let error = run["error"]
        #expect(error["summary"].text == "check \"users\" failed", "\(error)")
        #expect(error["detail"].text?.contains("20000: It is less than 30000.") == true, "\(error)")
        let warnings = run["warnings"].array?.compactMap(\.text).joined(separator: "\n") ?? ""
        #expect(warnings.contains("tables that are not in the dump\" is 1: public.young"), "\(warnings)")
        #expect(warnings.contains("less than half of their rows\" is 1: public.tokens"), "\(warnings)")
        try Self.expectNoScratch(server, site)
        try Self.expectFailure(site, "small", "too little space", "\"size-limit\" of the job is 1.0 MiB")
        try Self.expectFailure(site, "humble", "could not make a scratch database", "permission denied", "CREATEDB")
        try Self.expectNoScratch(server, site)
        try server.configure(["max_connections": "8"])
        try server.restart()
        try Self.expectFailure(site, "health", "too few connections", "max_connections")
        try server.stop()
        try Self.expectFailure(site, "health", "takes no connections", "Nothing answers")
        try server.start()
      }
    }
  }

  @Test("that is cut off by kill -9 or cancelled leaves no database behind") func cut() throws {
    try PostgresServer.run { server in
      try LogicalJobTests.seed(server)
      try server.psql("CREATE DATABASE backupd_check_0123456789abcdef")
      try Self.withSite(server, checks: "select pg_sleep(600);\n", daemon: false) { site in
        try site.withDaemon { daemon in
          try site.succeed("run", "logical")
          let run = try site.beginRun("health", waitingFor: "checks")
          #expect(try Self.scratch(server).count == 2)
          try site.succeed("cancel", run)
          try Poll.until(.seconds(30), "the cancelled check") {
            try site.json("runs", "health").array?.last?["outcome"].text == "cancelled"
          }
          #expect(try Self.scratch(server) == ["backupd_check_0123456789abcdef"])
          _ = try site.beginRun("health", waitingFor: "checks")
          try daemon.kill()
        }
        #expect(try Self.scratch(server).count == 2)
        try site.withDaemon { _ in
          try Poll.until(.seconds(30), "the scratch database dropped") { try Self.scratch(server).count == 1 }
        }
        // One that it did not make is not its own, whatever it is called.
        #expect(try Self.scratch(server) == ["backupd_check_0123456789abcdef"])
      }
    }
  }

  private static func withSite(
    _ server: PostgresServer, checks: String, daemon: Bool = true, _ body: (BackupSite) throws -> Void
  ) throws {
    try server.psql("DROP ROLE IF EXISTS humble; CREATE ROLE humble LOGIN PASSWORD 'humble'")
    let change: (inout BackupSite.Options) -> Void = {
      $0.streamsWAL = false
      $0.clusterKeys = ["programs: \(server.binDirectory)"]
    }
    try BackupSite.run(server, change: change) { site in
      try checks.write(toFile: site.checksFile, atomically: false, encoding: .utf8)
      let password = site.directory + "/humble.password"
      try "humble".write(toFile: password, atomically: false, encoding: .utf8)
      try ProgramUser.postgres.own(password)
      chmod(password, 0o600)
      let common = "kind: logical, cluster: main, retries: 0"
      let check = "kind: check, cluster: main, checks: \(site.checksFile)"
      try site.writeConfiguration(
        site.standardConfiguration + """
            logical: {\(common), database: app, keep: 7d, parallel: 2}
            critical: {\(common), database: app, tables: [tokens], data-only: true, keep: 24h}
            latin: {\(common), database: latin}
            health: {\(check), dumps: logical}
            latin-health: {kind: check, cluster: main, dumps: latin}
            small: {\(check), size-limit: 1MiB}
            humble: {\(check), server: "host=127.0.0.1 port=\(server.port) user=humble dbname=postgres", server-password: {file: \(password)}}

          """)
      if daemon { try site.withDaemon { _ in try body(site) } } else { try body(site) }
    }
  }

  private static func value(_ name: String, _ run: JSON) -> String? {
    run["checks"].array?.first { $0["name"].text == name }?["value"].text
  }

  private static func expectFailure(
    _ site: BackupSite, _ job: String, _ words: String..., location: SourceLocation = #_sourceLocation
  ) throws {
    let run = try site.json("run", job)
    #expect(run["outcome"].text == "failed", "\(run)", sourceLocation: location)
    let error = run["error"]
    let text = ["summary", "detail", "hint"].compactMap { error[$0].text }.joined(separator: " ")
    for word in words { #expect(text.contains(word), "\"\(word)\" in \(text)", sourceLocation: location) }
  }

  private static func scratch(_ server: PostgresServer) throws -> [String] {
    try server.psql("SELECT datname FROM pg_database WHERE datname LIKE 'backupd\\_check%' ORDER BY 1")
      .split(separator: "\n").map(String.init)
  }

  private static func expectNoScratch(
    _ server: PostgresServer, _ site: BackupSite, location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try scratch(server) == [], sourceLocation: location)
    let notes = try FileManager.default.subpathsOfDirectory(atPath: site.state + "/checks")
    #expect(notes.filter { $0.contains("backupd_check") } == [], sourceLocation: location)
  }
}
