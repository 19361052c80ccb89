import BackupModel
import FoundationEssentials
import TestSupport
import Testing

@Suite("A logical job", .serialized) struct LogicalJobTests {
  @Test("dumps, takes over what did not change, and gives back what pg_restore and psql accept")
  func dumps() throws {
    try PostgresServer.run { server in
      try Self.seed(server)
      try Self.withSite(server) { site in
        let first = try #require(try site.json("run", "logical")["backup"].text)
        try server.psql("UPDATE users SET name = 'changed' WHERE id % 500 = 0", database: "app")
        let second = try #require(try site.json("run", "logical")["backup"].text)
        let backups = try #require(try site.json("backups", "--kind", "logical").array)
        #expect(backups.map { $0["id"].text } == [first, second])
        #expect(backups[1]["parent"].text == first && backups[1]["database"].text == "app")
        #expect(backups[1]["snapshot"].text != nil && backups[1]["startLSN"].text != nil)
        let (new, total) = (
          try #require(backups[1]["newBytes"].integer), try #require(backups[1]["totalBytes"].integer)
        )
        #expect(new > 0 && new * 2 < total)
        let shown = try site.json("show", second)
        #expect(shown["contents"].array?.contains { $0.text?.contains("TABLE DATA public users") == true } == true)
        #expect(shown["dump"]["globals"].bool == true)
        try Self.expectReadable(site, server, second)
        let verified = try site.json("verify", second, "--full")
        #expect((verified.array?.first ?? verified)["sound"].bool == true)
        try Self.expectNotPhysical(site, second)
      }
    }
  }

  @Test("fails with pg_dump's own words, and leaves no backup") func fails() throws {
    try PostgresServer.run { server in
      try Self.seed(server)
      try Self.withSite(server) { site in
        let missing = try site.json("run", "missing")
        #expect(missing["outcome"].text == "failed")
        #expect(missing["error"]["summary"].text?.contains("no matching tables were found") == true)
        let locked = try server.holdingLock("users", database: "app") { try site.json("run", "impatient") }
        #expect(locked["outcome"].text == "failed")
        #expect(locked["error"]["summary"].text?.contains("statement timeout") == true)
        #expect(locked["error"]["detail"].text?.contains("LOCK TABLE public.users") == true)
        #expect(try site.json("backups").array?.isEmpty == true)
        // Nothing of what was stored meanwhile stays.
        #expect(try Self.packs(site).isEmpty)
      }
    }
  }

  @Test("that is cancelled ends pg_dump, and leaves no backup") func cancelled() throws {
    try PostgresServer.run { server in
      try Self.seed(server)
      try Self.withSite(server) { site in
        try server.holdingLock("users", database: "app") {
          try site.succeed("run", "patient", "--no-wait")
          var run: String?
          try Poll.until(.seconds(60), "pg_dump waiting for the lock", every: .milliseconds(50)) {
            run = try site.json("status")["running"][0]["run"].text
            let waiting = try server.psql(
              "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backupd dump' AND wait_event_type = 'Lock'"
            )
            return waiting == "1" && run != nil
          }
          try site.succeed("cancel", try #require(run))
          try Poll.until(.seconds(30), "the run ended", every: .milliseconds(50)) {
            try site.json("runs", "patient").array?.last?["outcome"].text == "cancelled"
          }
          #expect(
            try server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'backupd dump%'") == "0")
        }
        #expect(try site.json("backups").array?.isEmpty == true)
      }
    }
  }

  static func seed(_ server: PostgresServer) throws {
    try server.psql("CREATE DATABASE app")
    try server.psql("CREATE ROLE app_owner")
    try server.psql(
      """
      CREATE TABLE users (id int PRIMARY KEY, name text, note text);
      INSERT INTO users SELECT i, 'user ' || i, repeat(md5(i::text), 8) FROM generate_series(1, 20000) i;
      CREATE TABLE tokens (id int PRIMARY KEY, token text);
      INSERT INTO tokens SELECT i, md5(i::text) FROM generate_series(1, 1000) i
      """, database: "app")
  }

  static func withSite(_ server: PostgresServer, _ body: (BackupSite) throws -> Void) throws {
    let change: (inout BackupSite.Options) -> Void = { $0.streamsWAL = false }
    try BackupSite.run(server, change: change) { site in
      let common = "kind: logical, cluster: main, database: app, retries: 0"
      try site.writeConfiguration(
        site.standardConfiguration + """
            logical: {\(common), keep: 7d}
            critical: {\(common), tables: [tokens], data-only: true, inserts: true, keep: 24h}
            missing: {\(common), tables: [nonesuch]}
            impatient: {\(common), lock-timeout: 1s}
            patient: {\(common)}

          """)
      try site.withDaemon { _ in try body(site) }
    }
  }

  static func packs(_ site: BackupSite) throws -> [String] {
    let all = FileManager.default.enumerator(atPath: site.store)?.allObjects as? [String] ?? []
    return all.filter { $0.contains("/packs/") }
  }

  private static func expectReadable(_ site: BackupSite, _ server: PostgresServer, _ backup: String) throws {
    let file = site.directory + "/app.dump"
    try site.succeed("dump", backup, "--output", file)
    #expect(try site.backupctl("dump", backup, "--output", file).status == .exited(1))
    try site.succeed("dump", backup, "--output", file, "--force")
    try server.psql("CREATE DATABASE plain")
    try Program.succeed(
      server.installation.program("pg_restore"),
      ["--exit-on-error", "--dbname", server.connection(database: "plain"), file],
      as: .postgres)
    try site.succeed("dump", backup, "--globals", "--output", site.directory + "/globals.sql")
    #expect(
      try String(contentsOfFile: site.directory + "/globals.sql", encoding: .utf8).contains("CREATE ROLE app_owner"))
    let query = "SELECT md5(string_agg(u::text, ',' ORDER BY id)) FROM users u"
    let original = try server.psql(query, database: "app")
    #expect(try server.psql(query, database: "plain") == original)
    for (name, options) in [("one", []), ("many", ["--jobs", "2", "--spool", site.directory])] {
      try server.psql("CREATE DATABASE \(name)")
      try site.succeed(["restore-dump", backup, "--into", name] + options)
      #expect(try server.psql(query, database: name) == original)
      try site.succeed(["restore-dump", backup, "--into", name, "--clean"] + options)
      #expect(try server.psql(query, database: name) == original)
    }
    try server.psql("CREATE DATABASE part")
    try site.succeed("restore-dump", backup, "--into", "part", "--table", "tokens")
    #expect(try server.psql("SELECT count(*) FROM tokens", database: "part") == "1000")
    #expect(try server.psql("SELECT to_regclass('users') IS NULL", database: "part") == "t")
    // A table that is there already: nothing of the dump is loaded, and PostgreSQL's words say why.
    let refused = try site.backupctl("restore-dump", backup, "--into", "part")
    #expect(refused.status == .exited(1) && refused.standardError.contains("already exists"))
    let missing = try site.backupctl("restore-dump", backup, "--into", "nowhere")
    #expect(missing.status == .exited(1))
    #expect(missing.standardError.contains("There is no such database") && missing.standardError.contains("createdb"))
    #expect(try server.psql("SELECT to_regclass('users') IS NULL", database: "part") == "t")
  }

  /// No dump is taken for a backup of the cluster.
  private static func expectNotPhysical(_ site: BackupSite, _ dump: String) throws {
    let nowhere = try site.fresh("nowhere")
    let restore = ["restore", nowhere, "--cluster", BackupSite.cluster, "--dry-run"]
    #expect(try site.backupctl(restore + ["--backup", dump]).standardError.contains("restore-dump"))
    #expect(try site.backupctl(restore).status == .exited(1))
    let physical = try site.backup()
    try site.succeed("run", "logical")
    #expect(try site.json(restore)["backup"].text == physical)
    #expect(try site.backupctl("dump", physical, "--output", "-").standardError.contains("physical"))
    #expect(try site.backupctl("delete", physical).standardError.contains("last"))
    #expect(try site.json("status")["clusters"][0]["lastBackup"]["id"].text == physical)
    try site.succeed("delete", dump)
  }
}

extension PostgresServer {
  /// Holds a table locked against readers while the closure runs.
  func holdingLock<Result>(_ table: String, database: String, _ body: () throws -> Result) throws -> Result {
    let sql = "BEGIN; LOCK TABLE \(table) IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)"
    return try Program.running(
      installation.program("psql"), ["-XAtq", "-d", connection(database: database), "-c", sql]
    ) { _ in
      try Poll.until(.seconds(30), "the lock on \(table)", every: .milliseconds(50)) {
        try psql(
          "SELECT count(*) FROM pg_locks WHERE relation = '\(table)'::regclass AND mode = 'AccessExclusiveLock' AND granted",
          database: database) == "1"
      }
      // Its session outlives psql, and the lock with it.
      defer {
        _ = try? psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK TABLE%'")
      }
      return try body()
    }
  }
}
