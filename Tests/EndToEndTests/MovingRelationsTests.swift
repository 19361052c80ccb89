import FoundationEssentials
import TestSupport
import Testing

@Suite("Relations that move between and during backups", .serialized) struct MovingRelationsTests {
  @Test("restore as they were", arguments: MovingCluster.combinations(shortly: (15, "direct"), (18, "stream")))
  func restoresOrSoaks(version: Int, source: String) throws {
    try MovingCluster.run(version: version, source: source) { cluster in
      let server = cluster.server
      try server.psql(Self.tables)
      let before = try ClusterContent(server)
      let first = try cluster.backUp()
      try Self.reuseFile(server)
      try server.psql(Self.changes)
      let after = try ClusterContent(server)
      let second = try Self.withTemporaryTables(server) { try cluster.backUp(after: first) }
      try Self.expectPages(second, server)
      try cluster.expectRestore(second, to: after, files: cluster.expectSameFiles, check: Self.useUnlogged)
      // What is stored of the second does not touch the first.
      try cluster.expectRestore(first, to: before)
      try cluster.beginStreaming()
      let third = try cluster.backUp(after: second, while: Self.churn)
      try cluster.site.waitUntilDurable(server)
      try cluster.expectRestore(third, to: try ClusterContent(server), stop: .endOfWAL, check: Self.useUnlogged)
    }
  }

  private static let tables = """
    create function fill(name text, rows int) returns void language plpgsql as $$
      begin
        execute format('create table %1$I as select i, repeat(md5(%1$L || i), 8) as v from generate_series(1, %2$s) i', name, rows);
        execute format('create index on %I (i)', name);
      end $$;
    select fill('still', 20000), fill('grown', 3000), fill('shrunk', 9000), fill('emptied', 4000);
    select fill('truncated', 4000), fill('reused', 4000), fill('rewritten', 4000), fill('holes', 6000);
    create unlogged table fleeting as select i, md5(i::text) as v from generate_series(1, 5000) i;
    create index on fleeting (i);
    create unlogged table wide (v text);
    vacuum
    """

  private static let changes = """
    insert into grown select i, 'new ' || i from generate_series(3001, 9000) i;
    delete from shrunk where i > 3000; vacuum shrunk;
    delete from emptied; vacuum emptied;
    insert into emptied select i, repeat(md5('other' || i), 8) from generate_series(1, 4000) i;
    truncate truncated; insert into truncated select i, repeat(md5('other' || i), 8) from generate_series(1, 3000) i;
    vacuum full rewritten;
    delete from holes where i % 3 = 0; vacuum holes;
    insert into fleeting select i, 'new' from generate_series(1, 2000) i
    """

  private static let churn = """
    insert into grown select i, 'newer ' || i from generate_series(9001, 12000) i;
    delete from grown where i > 10000; vacuum grown;
    insert into shrunk select i, repeat(md5('again' || i), 8) from generate_series(3001, 6000) i;
    delete from shrunk where i > 4000; vacuum shrunk;
    delete from emptied; vacuum emptied;
    insert into emptied select i, repeat(md5(random()::text), 8) from generate_series(1, 4000) i;
    truncate truncated; insert into truncated select i, md5(random()::text) from generate_series(1, 5000) i;
    vacuum full rewritten; update rewritten set v = reverse(v) where i % 2 = 0;
    drop table if exists coming; create table coming as select * from holes; create index on coming (i);
    checkpoint;
    update holes set v = v || 'x' where i % 5 = 0; vacuum holes; reindex table holes;
    insert into fleeting select i, 'newest' from generate_series(1, 2000) i
    """

  /// Runs the closure while a session has temporary relations on disk, with everything that belongs to them.
  private static func withTemporaryTables<Result>(_ server: PostgresServer, _ body: () throws -> Result) throws
    -> Result
  {
    let script = #"""
      set temp_buffers = '800kB';
      create temporary table passing as select i, repeat('x', 100) as v from generate_series(1, 90000) i;
      create index on passing (i); vacuum passing;
      \echo made
      select pg_sleep(600);
      """#
    return try Program.running(
      server.installation.program("psql"), ["-XAt", "-d", server.connection, "-f", "-"], input: script
    ) { session in
      try session.waitForOutput(containing: "made")
      let found = try Program.succeed("/usr/bin/find", [server.dataDirectory, "-regex", #".*/t[0-9]+_[0-9].*"#])
      #expect(found.split(separator: "\n").count >= 4)
      return try body()
    }
  }

  /// Drops a table and makes another, of other rows, in a file of the same name.
  private static func reuseFile(_ server: PostgresServer) throws {
    let path = try server.psql("select pg_relation_filepath('reused')")
    let number = try #require(path.split(separator: "/").last)
    try server.psql("drop table reused; checkpoint")
    try server.stop()
    try Program.succeed(
      server.installation.program("pg_resetwal"), ["-o", String(number), server.dataDirectory], as: .postgres)
    try server.start()
    try server.psql("select fill('reused', 2000); update reused set v = reverse(v)")
    try #require(try server.psql("select pg_relation_filepath('reused')") == path)
  }

  /// What changed was stored, and hardly more: not what lay still.
  private static func expectPages(_ backup: JSON, _ server: PostgresServer) throws {
    func pages(_ condition: String) throws -> Int {
      let bytes = try server.psql(
        "select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class where relkind = 'r' and relpersistence = 'p' and \(condition)"
      )
      return try #require(Int(bytes)) / 8192
    }
    let names = "relname in ('emptied', 'truncated', 'rewritten', 'reused', 'holes', 'grown', 'shrunk')"
    let changed = try #require(backup["pagesChanged"].integer)
    #expect(try changed >= pages("relname in ('emptied', 'truncated', 'rewritten', 'reused')") / 2)
    #expect(try changed <= pages(names) + 300)
    #expect(try #require(backup["pagesRead"].integer) >= changed + pages("relname = 'still'"))
  }

  /// An unlogged relation is empty after a restore, and works.
  private static func useUnlogged(_ server: PostgresServer) throws {
    #expect(try server.psql("select (select count(*) from fleeting) + (select count(*) from wide)") == "0")
    try server.psql("insert into fleeting select i, 'x' from generate_series(1, 1000) i")
    #expect(try server.psql("set enable_seqscan = off; select v from fleeting where i = 700") == "x")
  }
}
