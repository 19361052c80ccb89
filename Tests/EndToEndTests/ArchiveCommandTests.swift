import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("archive_command", .serialized) struct ArchiveCommandTests {
  @Test("pushes all WAL of a server, from which it restores; streamed or not", arguments: [(15, false), (18, true)])
  func restores(version: Int, streaming: Bool) throws {
    try Self.run(version: version, streaming: streaming) { server, site in
      var timeline = ""
      try site.withDaemon { daemon in
        try Numbers.create(server)
        try Numbers.add(1, server)
        try site.backup()
        // Before the daemon is asked again, a backlog.
        try daemon.stop()
        for number in 2...7 { try Self.fill(server, number) }
        let failed = try server.psql("select failed_count > 0 or archived_count >= 0 from pg_stat_archiver")
        #expect(failed == "t")
      }
      try site.withDaemon { daemon in
        try Self.waitUntilArchived(server)
        // A base backup's label file is archived too, and taken.
        try Numbers.add(8, server)
        try server.psql("select pg_switch_wal()")
        try Self.waitUntilArchived(server)
        let status = try site.json("wal", "status")[0]
        #expect(status["state"].text == (streaming ? "streaming" : "archiving") && status["error"].isNull, "\(status)")
        #expect(status["stores"][0]["durableLSN"].text != nil)
        #expect(try site.json("wal", "gaps") == .array([]))
        #expect(!daemon.log.contains("control action asked for action=\"archive"))
        timeline = try server.psql("select timeline_id from pg_control_checkpoint()")
      }
      let directory = try site.fresh("restored")
      try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
      try PostgresServer.startRestored(directory: directory, version: version) { copy in
        try copy.waitUntilPromoted()
        #expect(try Numbers.all(copy) == [1, 2, 3, 4, 5, 6, 7, 8])
      }
      #expect(timeline == "1")
      try site.succeed("verify", "--full")
    }
  }

  @Test("takes the same file again, and nothing else under its name") func idempotent() throws {
    try Self.run(version: 15, streaming: false, archiving: false) { server, site in
      try Numbers.create(server)
      try Self.fill(server, 1)
      let wal = server.dataDirectory + "/pg_wal"
      let name = try server.psql("select pg_walfile_name(pg_switch_wal())")
      try site.withDaemon { daemon in
        let segment = wal + "/" + name
        for _ in 0..<2 { #expect(try Self.push(site, segment).succeeded) }
        // Given as PostgreSQL gives it: relative to the data directory.
        let result = try Program.run(
          "/bin/sh", ["-c", "cd \(server.dataDirectory) && exec \(Self.command(site)) pg_wal/\(name)"], as: .postgres)
        #expect(result.succeeded, "\(result)")

        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: segment)))
        func pushed(_ bytes: [UInt8], as name: String = name) throws -> ProgramResult {
          let directory = try site.fresh("other")
          try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
          try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
          try ProgramUser.postgres.own(directory)
          return try Self.push(site, directory + "/" + name)
        }
        func expectRefused(_ result: ProgramResult, _ words: String) {
          #expect(result.status == .exited(1) && result.standardError.contains(words), "\(result)")
          #expect(result.standardError.contains("DETAIL"))
        }
        bytes[9000] ^= 1
        expectRefused(try pushed(bytes), "cannot store")
        bytes[9000] ^= 1
        bytes[24] ^= 1
        expectRefused(try pushed(bytes, as: "000000010000000000000077"), "of another cluster")
        bytes[24] ^= 1
        expectRefused(try pushed(bytes, as: "000000010000000000000077"), "the WAL page at")
        expectRefused(try pushed(bytes.dropLast(8192)), "cannot archive")
        expectRefused(try pushed([], as: "000000010000000000000078"), "cannot archive")
        expectRefused(try pushed(bytes, as: "nonsense"), "cannot archive")
        expectRefused(try pushed(Array("2\t0/3000000\tno\n".utf8), as: "00000002.history"), "history line")
        expectRefused(try Self.push(site, wal + "/000000010000000000000099"), "could not look at")
        expectRefused(try Self.push(site, segment, cluster: "other"), "cannot archive WAL of cluster \"other\"")
        // Where a base backup began: nothing needs it, and PostgreSQL must not be stuck with it.
        #expect(try Self.push(site, wal + "/\(name).00000028.backup").succeeded)
        try daemon.stop()
        expectRefused(try Self.push(site, segment), "could not reach backupd")
      }
      for arguments in [["push"], ["push", "--cluster"], ["push", "x"], ["push", "--nonsense", "1", "x"]] {
        #expect(try Program.run(site.program("backupd-wal"), arguments).status == .exited(1))
      }
    }
  }

  @Test("follows a promotion: the history first, the old timeline's last segment, then the new one's")
  func promotion() throws {
    try Self.run(version: 15, streaming: false) { server, site in
      try Numbers.create(server)
      try site.withDaemon { _ in
        try Numbers.add(1, server)
        try site.backup()
        try Self.fill(server, 2)
        try Self.waitUntilArchived(server)
      }
      let directory = try site.fresh("restored")
      try site.succeed("restore", directory, "--cluster", BackupSite.cluster, "--as-primary")
      try server.stop(.immediate)
      try site.withDaemon { _ in
        try PostgresServer.startRestored(directory: directory) { copy in
          try copy.waitUntilPromoted()
          try Numbers.add(3, copy)
          try copy.psql("alter system set archive_command = '\(Self.command(site)) %p'")
          try copy.psql("select pg_reload_conf()")
          try copy.psql("select pg_switch_wal()")
          try Self.waitUntilArchived(copy)
        }
      }
      let again = try site.fresh("again")
      try site.succeed("restore", again, "--cluster", BackupSite.cluster)
      try PostgresServer.startRestored(directory: again) { copy in
        try copy.waitUntilPromoted()
        #expect(try Numbers.all(copy) == [1, 2, 3])
        #expect(try copy.psql("select timeline_id from pg_control_checkpoint()") == "3")
      }
    }
  }

  // MARK: Support

  static func command(_ site: BackupSite) -> String {
    "\(site.program("backupd-wal")) push --cluster \(BackupSite.cluster) --socket \(site.socket)"
  }

  static func push(_ site: BackupSite, _ path: String, cluster: String = BackupSite.cluster) throws -> ProgramResult {
    try Program.run(
      site.program("backupd-wal"), ["push", "--cluster", cluster, "--socket", site.socket, path], as: .postgres)
  }

  /// A segment's worth of WAL with one row of numbers in it.
  static func fill(_ server: PostgresServer, _ number: Int) throws {
    try Numbers.add(number, server)
    try server.psql("select pg_switch_wal(), txid_current()")
  }

  static func waitUntilArchived(_ server: PostgresServer) throws {
    try server.psql("select pg_switch_wal(), txid_current()")
    try Poll.until(.seconds(60), "the archiver", every: .milliseconds(50)) {
      let ready = try FileManager.default.contentsOfDirectory(atPath: server.dataDirectory + "/pg_wal/archive_status")
      return !ready.contains { $0.hasSuffix(".ready") }
    }
  }

  static func run(
    version: Int, streaming: Bool, archiving: Bool = true, _ body: (PostgresServer, BackupSite) throws -> Void
  ) throws {
    try PostgresServer.run(version: version, options: ["archive_mode": "on", "archive_command": "/bin/false"]) {
      server in
      try BackupSite.run(server) { site in
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(
            of: "kind: wal,", with: "kind: wal, streaming: \(streaming),"))
        if archiving {
          try server.psql("alter system set archive_command = '\(command(site)) %p'")
          try server.psql("select pg_reload_conf()")
        }
        try body(server, site)
      }
    }
  }
}
