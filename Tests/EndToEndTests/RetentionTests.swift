import FoundationEssentials
import TestSupport
import Testing

@Suite("backupctl delete, undelete and prune", .serialized) struct RetentionTests {
  @Test("delete what is asked for and what no job keeps, and nothing else; the daemon goes on by itself")
  func deletes() throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select i, md5(i::text) from generate_series(1, 40000) i")
      try BackupSite.run(server, change: { $0.physical = ["keep: {count: 2}"] }) { site in
        #expect(try site.backupctl("delete", "20260101T000000Z-aaaaaaaa").status == .exited(1))
        #expect(try site.backupctl("delete", "nonsense").status == .exited(2))
        let ids = try site.withDaemon { _ in
          let first = try site.backup()
          let only = try site.backupctl("delete", first)
          #expect(only.status == .exited(1) && only.standardError.contains("last backup"))
          var ids = [first]
          for value in 1...3 {
            try server.psql("update t set md5 = 'x\(value)' where i % 100 = \(value)")
            ids.append(try site.backup())
          }
          // After each backup the daemon prunes by itself.
          try Poll.until(.seconds(60), "two backups deleted by the daemon", every: .milliseconds(200)) {
            try Self.deleted(site) == Set(ids.prefix(2))
          }
          return ids
        }
        let state = try String(contentsOfFile: site.state + "/prune/main.json", encoding: .utf8)
        #expect(state.contains("succeeded"))
        // What is deleted cannot be restored by mistake, and comes back on request.
        let refused = try site.backupctl("restore", try site.fresh("refused"), "--cluster", "main", "--backup", ids[1])
        #expect(refused.status == .exited(1) && refused.standardError.contains("backupctl undelete \(ids[1])"))
        try site.succeed("undelete", ids[1])
        #expect(try site.backupctl("undelete", ids[1]).status == .exited(1))
        #expect(try Self.deleted(site) == [ids[0]])
        try site.succeed(
          "restore", try site.fresh("restored"), "--cluster", "main", "--backup", ids[1], "--target-immediate")
        let answer = try site.json("delete", ids[3])
        #expect(answer["backup"].text == ids[3] && answer["undeleteUntil"].text != nil)
        #expect(try Self.deleted(site) == [ids[0], ids[3]])
        try site.succeed("undelete", ids[3])
        let before = try Self.names(site)
        let dry = try site.json("prune", "--dry-run")
        #expect(try Self.names(site) == before)
        let entries = try #require(dry[0]["entries"].array)
        #expect(entries.allSatisfy { $0["reason"].text?.isEmpty == false })
        let fates = entries.filter { $0["kind"].text == "backup" }.compactMap { $0["action"].text }
        #expect(fates.sorted() == ["keep", "keep", "tombstone", "wait"])
        let human = try site.succeed("prune", "--dry-run")
        #expect(human.contains("would be deleted") && human.contains("can be undeleted until"))
        #expect(try site.json("prune")[0]["error"] == .null)
        #expect(try Self.deleted(site) == Set(ids.prefix(2)))
        #expect(try site.backupctl("verify", "--full").succeeded)
      }
    }
  }

  @Test("a clock that differs from the server's keeps everything, and raises a condition")
  func clocks() throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select 1")
      try BackupSite.run(server, change: { $0.physical = ["keep: {count: 1}"] }) { site in
        try site.withDaemon { _ in
          try site.backup()
          try site.backup()
          try Poll.until(.seconds(60), "a prune", every: .milliseconds(200)) {
            try Self.deleted(site).count == 1
          }
        }
        // As if the host had been 40 days behind when it pruned last, and set right since.
        let path = site.state + "/prune/main.json"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let year = try #require(text.firstRange(of: "\"finished\" : \"20"))
        var wrong = text
        wrong.replaceSubrange(year, with: "\"finished\" : \"19")
        try wrong.write(toFile: path, atomically: false, encoding: .utf8)
        try AlertChannels.run(site) { channels in
          try channels.configure()
          try ConditionSite.run(channels) { conditions in
            try site.backup()
            let told = try conditions.expectRaised("prune:main", severity: "warning")
            #expect(told.contains("clock has jumped"), "\(told)")
            #expect(try site.backupctl("status").status == .exited(3))
            #expect(try Self.deleted(site).count == 1)
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            try site.backup()
            try conditions.expectResolved("prune:main")
          }
        }
      }
    }
  }

  private static func deleted(_ site: BackupSite) throws -> Set<String> {
    let backups = try site.json("backups").array ?? []
    return Set(backups.filter { !$0["deleted"].isNull }.compactMap { $0["id"].text })
  }

  private static func names(_ site: BackupSite) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: site.store).sorted()
  }
}
