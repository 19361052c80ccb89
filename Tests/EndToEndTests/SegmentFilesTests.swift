import FoundationEssentials
import Glibc
import TestSupport
import Testing

@Suite("A relation of more than one file", .serialized) struct SegmentFilesTests {
  @Test(
    "restores as it was, when it grew into the second file, and when that was truncated",
    arguments: MovingCluster.combinations(shortly: (15, "direct")))
  func segmentsOrSoaks(version: Int, source: String) throws {
    try MovingCluster.run(version: version, source: source) { cluster in
      let server = cluster.server
      try server.psql("create unlogged table fleeting (i int); create table t (i int, v text)")
      try server.psql("insert into t select i, md5(i::text) from generate_series(1, 1000) i")
      try Self.extend(server)
      try server.psql("insert into t select i, md5(i::text) from generate_series(1001, 60000) i")
      #expect(try server.psql("select max((ctid::text::point)[0]) > 131072 + 500 from t") == "t")
      let before = try ClusterContent(server)
      let first = try cluster.backUp()
      #expect(try #require(first["totalBytes"].integer) > 1 << 30)
      // A gibibyte of pages that were never used, all alike.
      #expect(try #require(first["storedBytes"].integer) < 32 << 20)
      try server.psql("update t set v = 'x' where i between 30000 and 30100 or i < 10")
      let grown = try ClusterContent(server)
      let second = try cluster.backUp(after: first)
      #expect(try #require(second["pagesChanged"].integer) < 300)
      try cluster.expectRestore(second, to: grown, files: cluster.expectSameFiles)
      // Vacuum gives the end back: the second file becomes empty, and the first short.
      try server.psql("delete from t where i < 10 or i > 900; vacuum t")
      #expect(try server.psql("select pg_relation_size('t') < 1000000") == "t")
      try server.psql("insert into t select i, 'again ' || i from generate_series(1, 20000) i")
      let after = try ClusterContent(server)
      let third = try cluster.backUp(after: second)
      #expect(try #require(third["totalBytes"].integer) < 100 << 20)
      try cluster.expectRestore(third, to: after, files: cluster.expectSameFiles)
      if Soak.isOn { try cluster.expectRestore(first, to: before) }
    }
  }

  /// Makes the table's first file as large as one may be, and a second, of pages that were never used: what a server leaves
  /// that extended the table and crashed.
  private static func extend(_ server: PostgresServer) throws {
    let path = try server.dataDirectory + "/" + server.psql("checkpoint; select pg_relation_filepath('t')")
    try server.stop()
    for (path, size) in [(path, 1 << 30), (path + ".1", 4 << 20)] {
      try Program.succeed("/usr/bin/truncate", ["-s", "\(size)", path], as: .postgres)
    }
    try server.start()
  }
}
