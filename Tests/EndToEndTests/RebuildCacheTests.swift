import FoundationEssentials
import Glibc
import TestSupport
import Testing

@Suite("backupctl repository rebuild-cache", .serialized) struct RebuildCacheTests {
  @Test("makes the cache from the repository, for the daemon's user, and the next backup stores what changed")
  func rebuilds() throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select i, md5(i::text) from generate_series(1, 60000) i; vacuum t; checkpoint")
      try BackupSite.run(server) { site in
        let missing = try site.backupctl("repository", "rebuild-cache")
        #expect(missing.status == .exited(2) && missing.standardError.contains("state directory"))
        let cache = site.state + "/fingerprints/main/current"
        try site.withDaemon { _ in
          #expect(try site.json("repository", "rebuild-cache") == .array([]))
          let first = try site.backup()
          let whole = try #require(try site.json("show", first)["pagesChanged"].integer)
          try FileManager.default.removeItem(atPath: site.state + "/fingerprints")
          // Root may well be who is asked for it at night.
          let made = try site.json("repository", "rebuild-cache", as: .current)
          #expect(made[0]["cluster"].text == "main" && made[0]["backup"].text == first)
          var directory = stat()
          var status = stat()
          #expect(stat(site.directory, &directory) == 0 && stat(cache, &status) == 0)
          #expect(status.st_uid == directory.st_uid)
          try server.psql("insert into t values (0, 'new')")
          let second = try site.json("show", try site.backup())
          #expect(second["parent"].text == first && second["warnings"] == .array([]))
          #expect(try #require(second["pagesChanged"].integer) < whole / 10)
          // Lost without a word of it: the run says so, stores everything, and is right.
          try FileManager.default.removeItem(atPath: cache)
          let third = try site.json("show", try site.backup())
          #expect(third["pagesChanged"].integer == third["pagesRead"].integer)
          #expect(third["warnings"][0].text?.contains("fingerprint cache") == true)
          #expect(try site.backupctl("repository", "rebuild-cache", "--cluster", "other").status == .exited(2))
        }
        #expect(try site.backupctl("verify", "--full").succeeded)
      }
    }
  }
}
