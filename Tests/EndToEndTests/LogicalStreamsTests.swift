import Foundation
import TestSupport
import Testing

/// `parallel`: several pg_dumps on one snapshot.
@Suite("A dump in several streams", .serialized) struct LogicalStreamsTests {
  @Test("holds every table once, whatever its name is", arguments: [15, 18]) func names(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.psql("CREATE DATABASE app")
      try server.psql(Self.strangeTables, database: "app")
      try LogicalSite.run(
        server, keys: ["programs: \(server.binDirectory)"],
        jobs: [
          "one: {parallel: 1}", "five: {parallel: 5}", "many: {parallel: 16, inserts: true}",
          "some: {parallel: 4, tables: ['\"a.b\"', 's*.*', '\"*\"', plain*], exclude-tables: [plain_2]}",
          "schema: {parallel: 3, schemas: ['\"S. \"\"x\"\"\"']}",
          "rows: {parallel: 4, data-only: true}", "definitions: {parallel: 4, schema-only: true}",
        ]
      ) { site, _ in
        let all = try Self.tables(site, server, "one")
        #expect(all.rows.count == all.streams[0] && all.rows.count > 30)
        for job in ["five", "many", "rows"] {
          let found = try Self.tables(site, server, job)
          #expect(found.rows == all.rows, "\(job)")
          #expect(found.streams.count > 2 && found.streams.allSatisfy { $0 > 0 }, "\(job): \(found.streams)")
        }
        let some = try Self.tables(site, server, "some")
        #expect(some.rows.count == 6 && some.streams.count > 2)
        #expect(try Self.tables(site, server, "schema").rows.count == 2)
        #expect(try Self.tables(site, server, "definitions").rows.isEmpty)
        try Self.expectTied(site)
      }
    }
  }

  /// Rows alone are loaded as they come: tables that foreign keys tie together are in the main stream, in pg_dump's order.
  private static func expectTied(_ site: BackupSite) throws {
    let backup = try #require(try site.json("backups", "--kind", "logical").array?.last { $0["job"].text == "rows" })
    let directory = try site.fresh("rows")
    try site.succeed("dump", try #require(backup["id"].text), "--output", directory)
    let main = try Program.succeed("/usr/bin/strings", [directory + "/main.dump"])
    #expect(main.contains("COPY public.tied_parent") && main.contains("COPY public.tied_child"))
  }

  /// Rows of which tables, sorted; and of how many each stream has them.
  private static func tables(
    _ site: BackupSite, _ server: PostgresServer, _ job: String
  ) throws -> (rows: [String], streams: [Int]) {
    let run = try site.json("run", job)
    #expect(run["outcome"].text == "succeeded", "\(job): \(run["error"]["summary"].text ?? "")")
    let backup = try #require(run["backup"].text)
    let lines = try #require(try site.json("show", backup)["contents"].array).compactMap(\.text)
    let output = try site.fresh("output-\(job)")
    try site.succeed("dump", backup, "--output", output)
    var files = [output]
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: output, isDirectory: &isDirectory), isDirectory.boolValue {
      let others = try FileManager.default.contentsOfDirectory(atPath: output).filter { $0 != "main.dump" }
      files = (["main.dump"] + others.sorted()).map { output + "/" + $0 }
    }
    let rows = Self.rows(lines)
    let streams = try files.map { file in
      let list = try Program.succeed(server.installation.program("pg_restore"), ["--list", file], as: .postgres)
      return Self.rows(list.split(whereSeparator: \.isNewline).map(String.init)).count
    }
    return (rows.sorted(), streams)
  }

  private static func rows(_ list: [String]) -> [String] {
    list.compactMap { line in line.range(of: " TABLE DATA ").map { String(line[$0.upperBound...]) } }
  }

  @Test("takes over what a dump in other streams stored") func takesOver() throws {
    try PostgresServer.run { server in
      try server.psql("CREATE DATABASE app")
      try server.psql(
        (1...6).map { table in
          """
          CREATE TABLE t\(table) (id int, text text);
          INSERT INTO t\(table) SELECT i, md5((i * \(table))::text) FROM generate_series(1, \(20000 + table * 3000)) i;
          """
        }.joined(), database: "app")
      try LogicalSite.run(server, jobs: ["app: {parallel: 3}"]) { site, _ in
        try site.succeed("run", "app")
        // The smallest becomes the largest: others move to other streams.
        try server.psql("INSERT INTO t1 SELECT i, md5((-i)::text) FROM generate_series(1, 30000) i", database: "app")
        let run = try site.json("run", "app")
        let (new, total) = (try #require(run["newBytes"].integer), try #require(run["totalBytes"].integer))
        #expect(total > 7_000_000 && new > 1_000_000 && new < 2_000_000)
      }
    }
  }

  private static let strangeTables: String = {
    let names = [
      "plain", "plain_2", "Capital", "capital", "a.b", "*", "plain*", "?", "q?", "with \"quotes\"", "\"", "'",
      "back\\slash",
      "$dollar$", "$", "^start", "end$", "(group)", "[class]", "{1}", "a|b", "new\nline", "tab\there", " space ",
      "ünïcode",
      "表", "--table", "-", "%s", "***:x", "a..b", ".", "per,comma", "x=y",
    ]
    func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }
    var sql = "CREATE SCHEMA \(quoted("S. \"x\"")); CREATE SCHEMA sales;"
    for (number, name) in names.enumerated() {
      sql += "CREATE TABLE \(quoted(name)) (id serial, text text);"
      sql += "INSERT INTO \(quoted(name)) (text) SELECT md5(i::text) FROM generate_series(1, \(number * 20 + 1)) i;"
    }
    sql += """
      CREATE TABLE \(quoted("S. \"x\"")).\(quoted("a.b")) AS SELECT generate_series(1, 500) i;
      CREATE TABLE \(quoted("S. \"x\"")).plain AS SELECT generate_series(1, 500) i;
      CREATE TABLE sales.y2025 (at date, value int) PARTITION BY RANGE (at);
      CREATE TABLE sales.y2025_1 PARTITION OF sales.y2025 DEFAULT;
      INSERT INTO sales.y2025 SELECT date '2025-01-01' + i % 300, i FROM generate_series(1, 4000) i;
      CREATE TABLE sales."empty" (a int);
      CREATE TABLE nothing ();
      CREATE TABLE tied_parent (id int PRIMARY KEY, text text);
      CREATE TABLE tied_child (id int PRIMARY KEY, parent int REFERENCES tied_parent);
      INSERT INTO tied_parent SELECT i, md5(i::text) FROM generate_series(1, 5000) i;
      INSERT INTO tied_child SELECT i, i FROM generate_series(1, 5000) i;
      CREATE UNLOGGED TABLE forgotten AS SELECT generate_series(1, 100) i;
      CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM plain;
      SELECT lo_from_bytea(0, 'large object');
      """
    return sql
  }()
}
