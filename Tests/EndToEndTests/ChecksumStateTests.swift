import FoundationEssentials
import TestSupport
import Testing

@Suite("Backups between which pg_checksums ran", .serialized) struct ChecksumStateTests {
  @Test(
    "restore as they were, with checksums on or off as then",
    arguments: MovingCluster.combinations(shortly: (18, "stream")))
  func switchedOrSoaks(version: Int, source: String) throws {
    try MovingCluster.run(version: version, source: source) { cluster in
      let server = cluster.server
      try server.psql("create table t as select i, repeat(md5(i::text), 8) as v from generate_series(1, 20000) i")
      var content = [try ClusterContent(server)]
      var backups = [try cluster.backUp()]
      for (state, action) in [("off", "--disable"), ("on", "--enable")] {
        try server.stop()
        try Program.succeed(
          server.installation.program("pg_checksums"), [action, "--no-sync", server.dataDirectory], as: .postgres)
        try server.start()
        // Pages written while they are off keep a checksum that no longer fits.
        try server.psql("update t set v = '\(state)' where i % 40 = 0; vacuum t; checkpoint")
        content.append(try ClusterContent(server))
        backups.append(try cluster.backUp(after: backups[backups.count - 1]))
      }
      #expect(backups.map { $0["dataChecksums"].bool } == [true, false, true])
      let read = try #require(backups[2]["pagesRead"].integer)
      for backup in backups.dropFirst() {
        // The rows changed lie on all of the table's pages; enabling touches what was written meanwhile.
        #expect(try #require(backup["pagesChanged"].integer) < read * 2 / 3)
      }
      for (backup, content) in zip(backups, content) {
        let state = backup["dataChecksums"].bool == true ? "on" : "off"
        try cluster.expectRestore(
          backup, to: content,
          check: { copy in
            #expect(try copy.psql("show data_checksums") == state)
            guard state == "on" else { return }
            try copy.stop()
            let checked = try Program.run(
              copy.installation.program("pg_checksums"), ["--check", copy.dataDirectory], as: .postgres)
            #expect(checked.succeeded, "\(checked.standardOutput)\(checked.standardError)")
            try copy.start()
          })
      }
    }
  }
}
