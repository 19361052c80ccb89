import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("WAL that the server has removed", .serialized) struct WALGapTests {
  @Test("is a gap with its reason, which a base backup settles at once") func settled() throws {
    try Self.run { server, site in
      try site.withDaemon { _ in
        try Poll.until(.seconds(60), "a base backup behind the gap", every: .milliseconds(200)) {
          try site.json("backups").array?.count == 2
        }
        try Poll.until(.seconds(30), "the condition's end", every: .milliseconds(100)) { try Self.raised(site).isEmpty }
        let gap = try site.json("wal", "gaps")[0]
        #expect(gap["recorded"].bool == true && gap["reason"].text?.isEmpty == false, "\(gap)")
        try Numbers.add(3, server)
        try site.waitUntilDurable(server)
        // What lies in the gap cannot be restored; what lies behind it can.
        let directory = try site.fresh("restored")
        let inside = try LSN(try #require(gap["fromLSN"].text)) + 1
        let refused = try site.backupctl(
          "restore", site.directory + "/no", "--cluster", "main", "--target-lsn", "\(inside)")
        #expect(refused.status == .exited(1) && refused.standardError.contains("HINT"), "\(refused)")
        try site.succeed("restore", directory, "--cluster", "main")
        try PostgresServer.startRestored(directory: directory) { copy in
          try copy.waitUntilPromoted()
          #expect(try Numbers.all(copy) == [1, 2, 3])
        }
      }
    }
  }

  @Test("is told of until somebody says that it is known") func acknowledged() throws {
    try Self.run { server, site in
      let job = "  physical: {kind: physical, cluster: main}\n"
      try #require(site.standardConfiguration.contains(job))
      try AlertChannels.run(site) { channels in
        try channels.configure(replacing: [(job, "")])
        try ConditionSite.run(channels) { conditions in
          try conditions.expectRaised("wal-gap:main", severity: "critical")
          #expect(try site.backupctl("status").status == .exited(3))
          let text = try site.succeed("wal", "gaps", "--acknowledge")
          #expect(text.contains("acknowledged: the missing WAL of cluster main is known"), "\(text)")
          #expect(try Self.raised(site) == [])
          #expect(try site.json("wal", "gaps").array?.count == 1, "it stays recorded")
          #expect(try site.succeed("wal", "gaps", "--acknowledge").contains("acknowledged:") == false)
          try conditions.expectResolved("wal-gap:main")
        }
      }
      let result = try site.backupctl("wal", "gaps", "--acknowledge")
      #expect(result.status == .exited(1) && result.standardError.contains("HINT"), "there is no daemon")
    }
  }

  private static func raised(_ site: BackupSite) throws -> [String] {
    (try site.json("status")["conditions"].array ?? []).compactMap { $0["id"].text }.filter { $0.hasPrefix("wal-gap") }
  }

  /// A backup and two rows of numbers; between them the slot is dropped while the daemon is down, and WAL removed.
  private static func run(_ body: (PostgresServer, BackupSite) throws -> Void) throws {
    let options = ["min_wal_size": "32MB", "max_wal_size": "32MB", "wal_keep_size": "0"]
    try PostgresServer.run(options: options) { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try site.withDaemon { _ in
          try Numbers.add(1, server)
          try site.backup()
          try site.waitUntilDurable(server)
        }
        try server.psql("select pg_drop_replication_slot('backupd_main')")
        for _ in 0..<4 {
          try server.psql("select pg_switch_wal(), txid_current()")
          try server.psql("checkpoint")
        }
        try Numbers.add(2, server)
        try body(server, site)
      }
    }
  }
}
