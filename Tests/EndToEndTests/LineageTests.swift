import FoundationEssentials
import TestSupport
import Testing

@Suite("A cluster after pg_upgrade", .serialized) struct LineageTests {
  @Test("is refused until it is accepted, and begins a lineage of its own; the old one stays, and restores")
  func upgraded() throws {
    try PostgresServer.run(version: 15) { old in
      try old.psql("create table t as select i, md5(i::text) from generate_series(1, 20000) i")
      let change: (inout BackupSite.Options) -> Void = { options in
        options.physical = ["retries: 0", "keep: {count: 2}"]
        // What follows a backup stays in the landing directory until something asks for it.
        options.partialInterval = "1h"
      }
      try BackupSite.run(old, change: change) { site in
        let before = MovingCluster(server: old, site: site, source: "stream")
        let (backups, content) = try site.withDaemon { _ in try Self.live(before) }
        try PostgresServer.run(version: 18) { new in
          try Self.upgrade(old, to: new)
          try site.writeConfiguration(site.standardConfiguration.replacing(old.connection, with: new.connection))
          let after = MovingCluster(server: new, site: site, source: "stream")
          try site.withDaemon { _ in try Self.expectRefused(after, backups) }
          try Self.accept(after, backups)
          // A daemon that goes on does so within a minute; this one at once.
          let newer = try site.withDaemon { _ in try Self.goOn(after) }
          try Self.expectListed(site, backups + newer)
          try before.expectRestore(backups[0], to: content[0])
          // All of the old WAL was brought home before the new began.
          try before.expectRestore(backups[1], to: content[2], stop: .endOfWAL)
          try after.expectRestore(newer[1], to: try ClusterContent(new))
        }
      }
    }
  }

  /// Two backups, and what the cluster held at each and at the end.
  private static func live(_ cluster: MovingCluster) throws -> ([JSON], [ClusterContent]) {
    let server = cluster.server
    var content = [try ClusterContent(server)]
    let first = try cluster.backUp()
    try server.psql("update t set md5 = 'x' where i % 100 = 0")
    content.append(try ClusterContent(server))
    let second = try cluster.backUp(after: first)
    try server.psql("insert into t select i, 'late' from generate_series(20001, 20100) i")
    content.append(try ClusterContent(server))
    let wanted = try server.psql("select pg_current_wal_flush_lsn()")
    try Poll.until(.seconds(30), "WAL up to \(wanted)", every: .milliseconds(100)) {
      let flushed = try cluster.site.json("wal", "status")[0]["flushedLSN"].text ?? "0/0"
      return try server.psql("select '\(flushed)'::pg_lsn >= '\(wanted)'::pg_lsn") == "t"
    }
    return ([first, second], content)
  }

  private static func upgrade(_ old: PostgresServer, to new: PostgresServer) throws {
    for server in [old, new] { try server.stop() }
    let arguments = [
      new.installation.program("pg_upgrade"), "-U", "postgres", "--no-sync", "-b", old.binDirectory, "-B",
      new.binDirectory, "-d", old.dataDirectory, "-D", new.dataDirectory, "-p", "\(old.port)", "-P", "\(new.port)",
      "-s", new.socketDirectory,
    ]
    // It writes where it is called.
    try Program.succeed(
      "/bin/sh", ["-c", #"cd "$0" && exec "$@""#, new.workDirectory] + arguments, as: .postgres,
      deadline: .seconds(300))
    try new.start()
  }

  private static func expectRefused(_ cluster: MovingCluster, _ backups: [JSON]) throws {
    let site = cluster.site
    let found = try cluster.server.psql("select system_identifier from pg_control_system()")
    let words = [try #require(backups[0]["systemIdentifier"].text), found]
    try #require(words[0] != words[1])
    try Poll.until(.seconds(30), "a condition", every: .milliseconds(100)) {
      try site.backupctl("status").status == .exited(3)
    }
    let accept = "backupctl cluster accept main"
    site.expectThreeParts(try site.json("status")["conditions"][0], mentioning: words[0], words[1], accept)
    #expect(try site.backupctl("run", "physical").status == .exited(1))
    site.expectThreeParts(try #require(try site.runs.last)["error"], mentioning: words[0], words[1], accept)
    #expect(try site.json("backups").array?.count == 2)
    #expect(try cluster.server.psql("select count(*) from pg_replication_slots") == "0")
  }

  private static func accept(_ cluster: MovingCluster, _ backups: [JSON]) throws {
    let site = cluster.site
    #expect(try site.backupctl("cluster", "accept", "nonesuch").status == .exited(2))
    let found = try cluster.server.psql("select system_identifier from pg_control_system()")
    // By root, where root runs the tests: the daemon goes on in what that makes.
    let answer = try site.json("cluster", "accept", BackupSite.cluster, as: .current)
    #expect(answer.keys == ["cluster", "systemIdentifier", "previousSystemIdentifier", "accepted"])
    #expect(answer["systemIdentifier"].text == found && answer["accepted"].text != nil)
    #expect(answer["previousSystemIdentifier"] == backups[0]["systemIdentifier"])
    // Again it is nothing new.
    #expect(try site.json("cluster", "accept", BackupSite.cluster)["accepted"].isNull)
    // Until there is a backup of the new lineage, a restore is of the old one.
    let plan = try site.json("restore", try site.fresh("nowhere"), "--cluster", BackupSite.cluster, "--dry-run")
    #expect(plan["backup"] == backups[1]["id"])
  }

  private static func goOn(_ cluster: MovingCluster) throws -> [JSON] {
    let (server, site) = (cluster.server, cluster.site)
    try site.waitUntilStreaming()
    let first = try cluster.backUp()
    try server.psql("update t set md5 = 'new' where i % 50 = 0")
    let second = try cluster.backUp(after: first)
    #expect(second["sequence"].integer == 2)
    let changed = try #require(second["pagesChanged"].integer)
    #expect(try changed < #require(first["pagesChanged"].integer) / 2)
    let status = try site.json("status")
    #expect(status["conditions"] == .array([]), "\(status["conditions"])")
    #expect(status["clusters"][0]["systemIdentifier"] == first["systemIdentifier"])
    #expect(status["clusters"][0]["lastBackup"]["id"] == second["id"])
    return [first, second]
  }

  /// Each lineage keeps its two backups, and a restore without further words is of the newest.
  private static func expectListed(_ site: BackupSite, _ backups: [JSON]) throws {
    #expect(try site.json("prune").array?.allSatisfy { $0["error"].isNull } == true)
    let listed = try #require(try site.json("backups").array)
    #expect(listed.map { $0["id"] } == backups.map { $0["id"] })
    #expect(listed.allSatisfy { $0["deleted"].isNull })
    let clusters = try #require(try site.json("repository", "info")["clusters"].array)
    #expect(clusters.map { $0["systemIdentifier"] } == [backups[0], backups[3]].map { $0["systemIdentifier"] })
    #expect(clusters.map { $0["backups"].integer } == [2, 2])
    let plan = try site.json("restore", try site.fresh("nowhere"), "--cluster", BackupSite.cluster, "--dry-run")
    #expect(plan["backup"] == backups[3]["id"])
    try site.expectSoundBackups(atLeast: 4)
    // The cache can be made anew of the lineage that goes on.
    #expect(try site.json("repository", "rebuild-cache")[0]["backup"] == backups[3]["id"])
  }
}
