import BackupModel
import FoundationEssentials
import TestSupport
import Testing

/// A small disk of its own: a tmpfs that is unmounted when the closure ends. Needs root.
enum SmallDisk {
  static func run<Result>(megabytes: Int, _ body: (String) throws -> Result) throws -> Result {
    try TemporaryDirectory.run { directory in
      let path = directory + "/disk"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      try Program.succeed("mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m,mode=755,uid=postgres", "tmpfs", path])
      // Lazily: what still writes there has no say in whether the test ends.
      defer { _ = try? Program.run("umount", ["-l", path]) }
      return try body(path)
    }
  }

  /// Fills the disk but for some room, for the length of the closure.
  static func filled<Result>(_ path: String, leavingMegabytes room: Int, _ body: () throws -> Result) throws -> Result {
    let filler = path + "/filler"
    let free = try Program.succeed("df", ["--output=avail", "-m", path]).split(separator: "\n").last ?? ""
    let size = (Int(free.filter(\.isNumber)) ?? 0) - room
    try Program.succeed("fallocate", ["-l", "\(max(1, size))MiB", filler])
    defer { try? FileManager.default.removeItem(atPath: filler) }
    return try body()
  }
}

@Suite("A disk that is full", .serialized, .enabled(if: ProgramUser.canSwitch, "needs root to mount a small disk"))
struct CrashDiskTests {
  /// Hexadecimal noise: zstd halves it at best.
  private static let noise = """
    insert into noise select string_agg(md5(random()::text), '')
    from generate_series(1, 20000) line, generate_series(1, 32) chunk group by line
    """

  @Test("fails the run and names the store; earlier backups stay, WAL waits and catches up") func store() throws {
    try SmallDisk.run(megabytes: 160) { disk in
      try PostgresServer.run(version: 16) { server in
        try server.psql("create table noise (text text)")
        try Ledger.create(server)
        let change: (inout BackupSite.Options) -> Void = {
          $0.storePath = disk + "/store"
          $0.physical = ["retries: 0"]
        }
        try BackupSite.run(server, change: change) { site in
          try site.withDaemon { daemon in
            _ = try site.backup()
            try server.psql(Self.noise)
            try site.waitUntilDurable(server)
            let packs = try site.objects("packs").union(try site.objects("metadata"))
            try SmallDisk.filled(disk, leavingMegabytes: 4) {
              let result = try site.backupctl("run", "physical")
              #expect(result.status == .exited(1))
              site.expectThreeParts(
                try #require(try site.runs.last)["error"], mentioning: "No space left on device", disk)
              #expect(try site.objects("packs").union(try site.objects("metadata")) == packs)
              #expect(try site.json("backups").array?.count == 1)
              try expectLandingGoesOn(site, server)
            }
            try site.waitUntilDurable(server)
            try site.expectUnbrokenWAL()
            _ = try site.backup()
            try site.expectSoundBackups(atLeast: 2)
            try Ledger.expectRestored(site, of: server)
            #expect(daemon.isRunning)
          }
        }
      }
    }
  }

  /// More WAL than the store has room for: it is received and acknowledged all the same.
  private func expectLandingGoesOn(_ site: BackupSite, _ server: PostgresServer) throws {
    try server.psql(Self.noise)
    try server.psql("insert into ledger (written) values (clock_timestamp())")
    let wanted = try LSN(try server.psql("select pg_current_wal_flush_lsn()"))
    try Poll.until(.seconds(60), "WAL landed up to \(wanted)", every: .milliseconds(100)) {
      try LSN(try #require(try site.json("wal", "status")[0]["flushedLSN"].text)) >= wanted
    }
    try Poll.until(.seconds(60), "the store's error told", every: .milliseconds(100)) {
      try site.json("wal", "status")[0]["error"]["detail"].text?.contains("No space left on device") == true
    }
    try Poll.until(.seconds(60), "a condition", every: .milliseconds(100)) {
      try site.backupctl("status").status == .exited(3)
    }
  }

  @Test("under the state directory: the daemon stays, and goes on without a gap") func state() throws {
    try SmallDisk.run(megabytes: 64) { disk in
      try PostgresServer.run(version: 15) { server in
        try server.psql("create table noise (text text)")
        try Ledger.create(server)
        try BackupSite.run(server, change: { $0.physical = ["retries: 0"] }) { site in
          try site.writeConfiguration(site.standardConfiguration.replacing(site.state, with: disk + "/state"))
          try site.withDaemon { daemon in
            _ = try site.backup()
            try SmallDisk.filled(disk, leavingMegabytes: 1) {
              try server.psql(Self.noise)
              // WAL stops before the disk is full: the daemon's own state needs the rest.
              try Poll.until(.seconds(60), "the disk told to be full", every: .milliseconds(100)) {
                try site.json("wal", "status")[0]["state"].text == "full"
              }
              // Where nothing can be recorded a run may fail; it must not take the daemon along.
              _ = try site.backupctl("run", "physical", "--no-wait")
              #expect(daemon.isRunning)
            }
            try site.waitUntilDurable(server)
            try Poll.until(.seconds(60), "the end of all runs", every: .milliseconds(100)) {
              try !site.runs.contains { $0["outcome"].isNull }
            }
            _ = try site.backup()
            try site.expectUnbrokenWAL()
            try server.psql("insert into ledger (written) values (clock_timestamp())")
            try Ledger.expectRestored(site, of: server)
            #expect(daemon.isRunning)
          }
        }
      }
    }
  }
}
