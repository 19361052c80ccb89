import FoundationEssentials
import TestSupport
import Testing

@Suite("Databases and tablespaces that move between and during backups", .serialized) struct MovingDatabasesTests {
  @Test("restore as they were", arguments: MovingCluster.combinations(shortly: (15, "direct"), (18, "stream")))
  func restoresOrSoaks(version: Int, source: String) throws {
    try MovingCluster.run(version: version, source: source) { cluster in
      let server = cluster.server
      for name in ["here", "there", "leaving"] { try server.createTablespace(name) }
      try server.psql(Self.objects)
      let before = try ClusterContent(server)
      let first = try cluster.backUp()
      #expect(Self.locations(first) == ["here", "leaving", "there"])
      let leaving = try server.psql("select pg_tablespace_location(oid) from pg_tablespace where spcname = 'leaving'")
      try server.createTablespace("arriving")
      try server.psql(Self.changes)
      #expect(try FileManager.default.contentsOfDirectory(atPath: leaving).isEmpty)
      let after = try ClusterContent(server)
      let second = try cluster.backUp(after: first)
      #expect(Self.locations(second) == ["arriving", "here", "there"])
      let changed = try #require(second["pagesChanged"].integer)
      // Two databases were made and one was moved; the others lay still.
      #expect(try changed < #require(second["pagesRead"].integer) * 3 / 4)
      try cluster.expectRestore(second, to: after, files: cluster.expectSameFiles)
      if Soak.isOn { try cluster.expectRestore(first, to: before) }
      try cluster.beginStreaming()
      let third = try cluster.backUp(after: second, while: Self.churn)
      try cluster.site.waitUntilDurable(server)
      try cluster.expectRestore(third, to: try ClusterContent(server), stop: .endOfWAL)
    }
  }

  private static let objects = """
    create database pattern;
    \\c pattern
    create table t as select i, md5('pattern' || i) from generate_series(1, 5000) i;
    \\c postgres
    create database dropped template pattern; create database travelling template pattern tablespace here;
    create table traveller tablespace here as select i, md5('traveller' || i) from generate_series(1, 9000) i;
    create index traveller_i on traveller (i) tablespace there;
    create table resident tablespace there as select i, md5('resident' || i) from generate_series(1, 9000) i;
    create table leaver tablespace leaving as select i from generate_series(1, 2000) i;
    create unlogged table fleeting tablespace here as select i from generate_series(1, 2000) i;
    create tablespace inside location '';
    create table insider tablespace inside as select i from generate_series(1, 2000) i
    """

  /// Connections to a database that is copied or moved are not allowed; statistics and checkpoints need none.
  private static let changes = """
    create database logged template pattern strategy wal_log;
    create database copied template pattern strategy file_copy tablespace there;
    drop database dropped;
    alter database travelling set tablespace there;
    alter table traveller set tablespace there; alter index traveller_i set tablespace here;
    drop table leaver; checkpoint; drop tablespace leaving;
    create table arrival tablespace arriving as select i, md5('arrival' || i) from generate_series(1, 3000) i;
    \\c logged
    insert into t select i, 'more' from generate_series(1, 1000) i;
    \\c copied
    delete from t where i % 2 = 0
    """

  /// No database is moved here: such a backup fails.
  private static let churn = """
    create database passing template pattern strategy wal_log;
    alter table traveller set tablespace arriving; alter index traveller_i set tablespace there;
    insert into traveller select i, md5(random()::text) from generate_series(1, 100) i;
    drop database if exists fresh; create database fresh template pattern strategy file_copy tablespace here;
    create tablespace within location ''; create table guest tablespace within as select * from resident;
    \\c fresh
    insert into t select i, md5(random()::text) from generate_series(1, 100) i;
    \\c postgres
    drop database passing;
    alter table guest set tablespace here; drop tablespace within; update guest set i = i + 1; drop table guest;
    alter table traveller set tablespace pg_default
    """

  /// Names of the tablespaces, of which those in place have no location of their own.
  private static func locations(_ backup: JSON) -> [String] {
    let locations = backup["tablespaces"].array?.compactMap { $0["location"].text } ?? []
    return locations.compactMap { $0.split(separator: "/tablespace-").last.map(String.init) }
      .filter { !$0.contains("/") }.sorted()
  }
}
