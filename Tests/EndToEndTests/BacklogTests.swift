import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("A landing directory whose disk is nearly full", .serialized, .enabled(if: ProgramUser.canSwitch))
struct BacklogTests {
  @Test("takes no more, says so, keeps what it has, and goes on when there is room") func waits() throws {
    try Self.run { server, channels, disk in
      let site = channels.site
      try ConditionSite.run(channels) { conditions in
        try Numbers.add(1, server)
        try site.backup()
        try site.waitUntilDurable(server)
        try SmallDisk.filled(disk, leavingMegabytes: 20) {
          try Self.waitUntilFull(site)
          try conditions.expectRaised("wal-landing:main", severity: "critical")
          let held = try Self.flushed(site)
          for number in 2...4 { try ArchiveCommandTests.fill(server, number) }
          usleep(2_500_000)
          #expect(try Self.flushed(site) == held, "what is not taken is not acknowledged")
          #expect(
            try LSN(server.psql("select confirmed from (select restart_lsn confirmed from pg_replication_slots) s"))
              <= held)
          #expect(try site.backupctl("status").status == .exited(3))
          #expect(conditions.daemon.isRunning)
        }
        try site.waitUntilDurable(server)
        try conditions.expectResolved("wal-landing:main")
        #expect(try site.json("wal", "gaps") == .array([]))
      }
      try Self.expect([1, 2, 3, 4], from: site)
    }
  }

  @Test("drops the slot before the server's disk is full, where the job says so, and begins anew") func drops() throws {
    try Self.run(wal: "on-full: drop-slot", walOnDisk: true) { server, channels, disk in
      let site = channels.site
      try site.withDaemon { daemon in
        try Numbers.add(1, server)
        try site.backup()
        try site.waitUntilDurable(server)
        try SmallDisk.filled(disk, leavingMegabytes: 20) {
          try Poll.until(.seconds(60), "the slot to go", every: .milliseconds(100)) {
            try server.psql("select count(*) from pg_replication_slots") == "0"
          }
          #expect(daemon.log.contains("replication slot dropped"))
          for number in 2...6 {
            try ArchiveCommandTests.fill(server, number)
            try server.psql("checkpoint")
          }
        }
        try Poll.until(.seconds(90), "a base backup behind the gap", every: .milliseconds(200)) {
          try site.json("backups").array?.count == 2
        }
        let gap = try site.json("wal", "gaps")[0]
        #expect(gap["reason"].text?.contains("on-full: drop-slot") == true, "\(gap)")
        try Numbers.add(7, server)
        try site.waitUntilDurable(server)
      }
      try Self.expect([1, 2, 3, 4, 5, 6, 7], from: site)
    }
  }

  @Test("is refused for a synchronous job where it forgets everything") func volatile() throws {
    try Self.run(wal: "synchronous: true") { server, channels, disk in
      let site = channels.site
      try site.withDaemon { _ in
        try Poll.until(.seconds(30), "the WAL job's error", every: .milliseconds(100)) {
          try site.json("wal", "status")[0]["error"].isNull == false || Self.conditions(site) != []
        }
        let conditions = try site.json("status")["conditions"]
        #expect("\(conditions)".contains("tmpfs"), "\(conditions)")
        #expect(try server.psql("select count(*) from pg_replication_slots") == "0", "nothing is promised")
      }
    }
  }

  // MARK: Support

  /// A server, and an installation whose state lies on a small disk.
  private static func run(
    wal keys: String = "on-full: wait", walOnDisk: Bool = false,
    _ body: (PostgresServer, AlertChannels, String) throws -> Void
  ) throws {
    try SmallDisk.run(megabytes: 400) { disk in
      let options = ["min_wal_size": "32MB", "max_wal_size": "32MB"]
      try PostgresServer.run(options: options) { server in
        try Numbers.create(server)
        if walOnDisk {
          try server.stop()
          let wal = server.dataDirectory + "/pg_wal"
          try Program.succeed("cp", ["-a", wal, disk + "/pg_wal"])
          try FileManager.default.removeItem(atPath: wal)
          try FileManager.default.createSymbolicLink(atPath: wal, withDestinationPath: disk + "/pg_wal")
          try server.start()
        }
        let change: (inout BackupSite.Options) -> Void = {
          $0.clusterKeys = ["data-directory: \(server.dataDirectory)"]
        }
        try BackupSite.run(server, change: change) { site in
          try AlertChannels.run(site) { channels in
            // What follows for the slot is looked at so seldom that the cause is told first.
            try channels.configure(
              monitoring: ["interval: 30s"],
              replacing: [(site.state + ",", disk + "/state,"), ("kind: wal,", "kind: wal, \(keys),")])
            try body(server, channels, disk)
          }
        }
      }
    }
  }

  private static func waitUntilFull(_ site: BackupSite) throws {
    try Poll.until(.seconds(30), "it to be full", every: .milliseconds(100)) {
      try site.json("wal", "status")[0]["state"].text == "full"
    }
    #expect(try conditions(site) == ["wal-landing:main"])
  }

  private static func flushed(_ site: BackupSite) throws -> LSN {
    try LSN(try #require(try site.json("wal", "status")[0]["flushedLSN"].text))
  }

  private static func conditions(_ site: BackupSite) throws -> [String] {
    (try site.json("status")["conditions"].array ?? []).compactMap { $0["id"].text }
  }

  private static func expect(_ numbers: [Int], from site: BackupSite) throws {
    let directory = try site.fresh("restored")
    try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
    try PostgresServer.startRestored(directory: directory) { copy in
      try copy.waitUntilPromoted()
      #expect(try Numbers.all(copy) == numbers)
    }
  }
}
