import BackupModel
import FoundationEssentials
import TestSupport
import Testing

@Suite("A restore, as asked", .serialized) struct RestoreOptionTests {
  /// Configuration outside the data directory; restored by root, as an operator on such a host would.
  @Test("of a cluster in Debian's layout starts and belongs to its owner", .enabled(if: ProgramUser.canSwitch))
  func debianLayout() throws {
    var etc = ""
    func prepare(_ server: PostgresServer) throws { etc = try moveConfiguration(server) }
    try BackupSite.runBackedUp(prepare: prepare) { server, site in
      let directory = try site.fresh("restored")
      let configuration = try site.fresh("configuration")
      let wal = try site.fresh("wal")
      let report = try site.json(
        [
          "restore", directory, "--cluster", BackupSite.cluster, "--configuration", configuration, "--wal-directory",
          wal,
          "--owner", "postgres", "--start", "--port", "\(FreePort.find())",
        ], as: .current)
      try PostgresServer.startedElsewhere(directory: directory) { copy in
        #expect(try Numbers.all(copy) == [1, 2, 3])
        let inRecovery = try copy.psql("select pg_is_in_recovery()")
        #expect(inRecovery == "f")
        #expect(report["server"]["state"].text == "promoted" && report["server"]["port"].integer == Int(copy.port))
      }
      for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
        let kept = try String(contentsOfFile: "\(configuration)/\(name)", encoding: .utf8)
        #expect(try kept == String(contentsOfFile: "\(etc)/\(name)", encoding: .utf8), "\(name)")
      }
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: directory + "/pg_wal") == wal)
      let foreign = try Program.succeed("/usr/bin/find", [directory, configuration, wal, "!", "-user", "postgres"])
      #expect(foreign == "")
    }
  }

  @Test("pauses or shuts down at its target") func targetActions() throws {
    try BackupSite.runBackedUp { server, site in
      let arguments = try [
        "--cluster", BackupSite.cluster, "--target-xid", server.psql("select xmin from numbers where n = 2"), "--start",
      ]
      let paused = try site.fresh("paused")
      var report = try site.json(
        ["restore", paused, "--target-action", "pause", "--port", "\(FreePort.find())"] + arguments)
      #expect(report["server"]["state"].text == "paused")
      try PostgresServer.startedElsewhere(directory: paused) { copy in
        #expect(try copy.psql("select pg_is_in_recovery()") == "t")
        #expect(try Numbers.all(copy) == [1, 2])
        try copy.psql("select pg_wal_replay_resume()")
        try copy.waitUntilPromoted()
        #expect(try Numbers.all(copy) == [1, 2])
      }
      let shut = try site.fresh("shut")
      report = try site.json(
        ["restore", shut, "--target-action", "shutdown", "--port", "\(FreePort.find())"] + arguments)
      #expect(report["server"]["state"].text == "shutDown")
      #expect(!FileManager.default.fileExists(atPath: shut + "/postmaster.pid"))
    }
  }

  @Test("is refused before anything is written") func refusals() throws {
    try BackupSite.runBackedUp { server, site in
      try expectUnreachableRefused(site)
      try expectFullDirectoryRefused(site)
      // Only root can mount.
      if ProgramUser.canSwitch { try expectSmallDiskRefused(site) }
    }
  }

  private func expectUnreachableRefused(_ site: BackupSite) throws {
    let stop = try #require(try site.json("backups")[0]["stopLSN"].text)
    let unreachable = [
      ["--target-time", "2001-01-01 00:00:00+00"], ["--target-time", "2101-01-01 00:00:00+00"],
      ["--target-lsn", "0/1"], ["--target-lsn", "FF/0"], ["--target-name", "nonesuch"], ["--target-xid", "4000000000"],
    ]
    for target in unreachable {
      let directory = try site.fresh("unreachable")
      let result = try site.backupctl(["restore", directory, "--cluster", BackupSite.cluster] + target)
      #expect(result.status == .exited(1), "\(target)")
      // Where reach begins is told with every refusal.
      #expect(result.standardError.contains("Reachable: ") && result.standardError.contains(stop), "\(result)")
      #expect(!FileManager.default.fileExists(atPath: directory), "\(target)")
    }
  }

  private func expectFullDirectoryRefused(_ site: BackupSite) throws {
    let full = try site.fresh("full")
    try FileManager.default.createDirectory(atPath: full, withIntermediateDirectories: false)
    try "mine".write(toFile: full + "/file", atomically: false, encoding: .utf8)
    try ProgramUser.postgres.own(full)
    let result = try site.backupctl("restore", full, "--cluster", BackupSite.cluster)
    #expect(result.status == .exited(1) && result.standardError.contains("\"file\""), "\(result.standardError)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: full) == ["file"])
  }

  private func expectSmallDiskRefused(_ site: BackupSite) throws {
    let small = try site.fresh("small")
    try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: false)
    try Program.succeed("/bin/mount", ["-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs", small])
    defer { _ = try? Program.run("/bin/umount", [small]) }
    let result = try site.backupctl("restore", small + "/data", "--cluster", BackupSite.cluster)
    #expect(result.status == .exited(1))
    for fact in ["too little space", "are needed there", "16.0 MiB are free"] {
      #expect(result.standardError.contains(fact), "\(result.standardError)")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: small) == [])
  }

  @Test("that was killed while it copied is finished by the same command") func interrupted() throws {
    func prepare(_ server: PostgresServer) throws { try server.pgbenchInitialize(scale: 5) }
    try BackupSite.runBackedUp(prepare: prepare) { server, site in
      let directory = try site.fresh("restored")
      let arguments = ["restore", directory, "--cluster", BackupSite.cluster]
      try Program.running(
        site.program("backupctl"), arguments + ["--config", site.configuration], as: .postgres
      ) { restore in
        try Poll.until(.seconds(30), "the copy phase") {
          restore.ended != nil || (try? FileManager.default.subpathsOfDirectory(atPath: directory).count) ?? 0 > 20
        }
        try #require(restore.ended == nil, "the restore was over before it could be killed")
        restore.signal(9)
        try restore.waitForExit()
      }
      #expect(!FileManager.default.fileExists(atPath: directory + "/global/pg_control"))
      try site.succeed(arguments)
      let verified = try Program.run(server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres)
      #expect(verified.succeeded, "\(verified.standardError)")
      try PostgresServer.startRestored(directory: directory) { copy in
        try copy.waitUntilPromoted()
        #expect(try Numbers.all(copy) == [1, 2, 3])
      }
    }
  }

  /// Debian's way: the data directory holds no configuration.
  /// - Returns: The directory that does.
  private func moveConfiguration(_ server: PostgresServer) throws -> String {
    let etc = server.workDirectory + "/etc"
    try FileManager.default.createDirectory(atPath: etc, withIntermediateDirectories: false)
    try server.configure([
      "data_directory": server.dataDirectory, "hba_file": etc + "/pg_hba.conf", "ident_file": etc + "/pg_ident.conf",
    ])
    try server.stop()
    for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
      try FileManager.default.moveItem(atPath: "\(server.dataDirectory)/\(name)", toPath: "\(etc)/\(name)")
    }
    try Program.succeed("/bin/chown", ["-R", "postgres:", etc])
    try server.start(options: ["config_file": etc + "/postgresql.conf"])
    return etc
  }
}
