import FoundationEssentials
import TestSupport
import Testing

@Suite("A backup after a promotion", .serialized) struct MovingTimelineTests {
  @Test(
    "takes over from one of the old timeline, also from one taken behind the fork, and restores as it was",
    arguments: MovingCluster.combinations(shortly: (15, "direct")))
  func promotedOrSoaks(version: Int, source: String) throws {
    try MovingCluster.run(version: version, source: source) { cluster in
      let (site, primary) = (cluster.site, cluster.server)
      try primary.psql("create table t as select i, repeat(md5(i::text), 8) as v from generate_series(1, 20000) i")
      let first = try cluster.backUp()
      try StandbyServer.run(of: primary, version: version) { standby in
        try standby.psql("select pg_promote()")
        try standby.waitUntilPromoted()
        // The old primary goes on: blocks of one number differ between the timelines, at positions that both have.
        try primary.psql("update t set v = 'old primary' where i % 40 = 0; insert into t values (0, 'old primary')")
        try standby.psql("update t set v = 'new primary' where i % 40 in (0, 1)")
        let strayed = try ClusterContent(primary)
        let second = try cluster.backUp(after: first)
        let text = site.standardConfiguration.replacing(primary.connection, with: standby.connection)
        try site.writeConfiguration(text.replacing(primary.dataDirectory, with: standby.dataDirectory))
        try site.succeed("reload")
        let successor = MovingCluster(server: standby, site: site, source: source)
        var content = [try ClusterContent(standby)]
        let third = try successor.backUp(after: second)
        #expect(third["timeline"].integer == 2 && second["timeline"].integer == 1)
        try standby.psql("delete from t where i % 3 = 0; vacuum t")
        content.append(try ClusterContent(standby))
        let fourth = try successor.backUp(after: third)
        let read = try #require(third["pagesRead"].integer)
        for backup in [second, third, fourth] { #expect(try #require(backup["pagesChanged"].integer) < read / 2) }
        // Without further words a restore is of the new timeline.
        let plan = try site.json("restore", try site.fresh("nowhere"), "--cluster", BackupSite.cluster, "--dry-run")
        #expect(plan["backup"] == fourth["id"] && plan["timeline"].integer == 2)
        try cluster.expectRestore(second, to: strayed)
        try successor.expectRestore(third, to: content[0])
        try successor.expectRestore(fourth, to: content[1], stop: .endOfWAL)
      }
    }
  }
}
