import BackupModel
import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// What the programs say, and what they end with, where what they are given is wrong. Nothing is lost by any of it.
extension BackupSite {
  /// A command that must be refused.
  @discardableResult
  func expectRefused(
    _ arguments: [String], _ status: Int32, as user: ProgramUser = .postgres, saying words: String...,
    location: SourceLocation = #_sourceLocation
  ) throws -> ProgramResult {
    let result = try backupctl(arguments, as: user)
    // A run that failed is shown on standard output, an error of the command itself on the other.
    let said = result.standardOutput + result.standardError
    let what = Comment(rawValue: "\(arguments.joined(separator: " ")): \(said)")
    #expect(result.status == .exited(status), what, sourceLocation: location)
    for word in words { #expect(said.contains(word), what, sourceLocation: location) }
    return result
  }

  /// A daemon that must not start.
  func expectDaemonRefused(_ status: Int32, saying words: String..., location: SourceLocation = #_sourceLocation) throws
  {
    try startingDaemon { daemon in
      let result = try daemon.program.waitForExit(deadline: .seconds(30))
      #expect(result.status == .exited(status), "\(result.standardError)", sourceLocation: location)
      for word in words + ["DETAIL", "HINT"] {
        #expect(result.standardError.contains(word), "\(result.standardError)", sourceLocation: location)
      }
    }
  }
}

@Suite("Bad input", .serialized) struct BadInputTests {
  @Test("in the configuration, keys and stores is refused before anything begins") func refusedAtStart() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        let good = site.standardConfiguration
        let wrong: [(replace: String, with: String, saying: String)] = [
          ("partial-interval", "partial-intervall", "did you mean \"partial-interval\"?"),
          ("workers: 2", "workers: many", "workers"),
          ("partial-interval: 1s", "partial-interval: soon", "is not a valid duration"),
          ("kind: wal, cluster: main", "kind: wal, cluster: mian", "did you mean \"main\"?"),
          ("jobs:", "jobs: [", "is not valid YAML"),
        ]
        for (replace, with, saying) in wrong {
          try site.writeConfiguration(good.replacing(replace, with: with))
          try site.expectRefused(["config", "check"], 2, saying: saying, "HINT", site.configuration)
          try site.expectRefused(["backups"], 2, saying: saying)
        }
        try site.expectDaemonRefused(2, saying: "is not valid YAML")
        try FileManager.default.removeItem(atPath: site.configuration)
        try site.expectRefused(["config", "check"], 2, saying: "No such file", "HINT")
        try site.expectDaemonRefused(2, saying: "No such file")
        try site.writeConfiguration(good)
        try refuseKeys(site)
        try refuseStores(site, good)
        try site.writeConfiguration(good)
        try site.withDaemon { _ in _ = try site.backup() }
      }
    }
  }

  private func refuseKeys(_ site: BackupSite) throws {
    let aside = site.directory + "/aside.key"
    try FileManager.default.moveItem(atPath: site.keyFile, toPath: aside)
    try site.expectDaemonRefused(1, saying: "There is no such file", "Never make a new one")
    // A repository of its own has a key of its own.
    let other = site.directory + "/other"
    try site.writeConfiguration(site.standardConfiguration.replacing("path: \(site.store)}", with: "path: \(other)}"))
    try site.succeed("repository", "create")
    try site.writeConfiguration(site.standardConfiguration)
    try site.expectDaemonRefused(1, saying: "this is another one")
    try site.expectRefused(["backups"], 1, saying: "this is another one", "HINT")
    try FileManager.default.removeItem(atPath: site.keyFile)
    try "not a key\n".write(toFile: site.keyFile, atomically: false, encoding: .utf8)
    try ProgramUser.postgres.own(site.keyFile)
    try Program.succeed("chmod", ["600", site.keyFile])
    try site.expectDaemonRefused(1, saying: "not a key file")
    try FileManager.default.removeItem(atPath: site.keyFile)
    try FileManager.default.moveItem(atPath: aside, toPath: site.keyFile)
    try Program.succeed("chmod", ["640", site.keyFile])
    try site.expectDaemonRefused(1, saying: "0640", "chmod 600")
    try Program.succeed("chmod", ["600", site.keyFile])
  }

  private func refuseStores(_ site: BackupSite, _ good: String) throws {
    try site.expectRefused(["repository", "create"], 1, saying: "is not empty", "HINT")
    try site.writeConfiguration(good.replacing("path: \(site.store)}", with: "path: \(site.directory)/away}"))
    try site.expectDaemonRefused(1, saying: "No such file or directory", "away")
    try site.expectRefused(["backups"], 1, saying: "away", "HINT")
    // What lies where the socket should be is not ours to remove.
    try site.writeConfiguration(good.replacing(site.socket, with: site.configuration))
    try site.expectDaemonRefused(1, saying: "cannot listen")
    #expect(FileManager.default.fileExists(atPath: site.configuration))
  }

  @Test(
    "in a store that cannot be written fails the run; it works again with the modes",
    .enabled(if: ProgramUser.canSwitch))
  func storeNotWritable() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.physical = ["retries: 0"] }) { site in
        try site.withDaemon { _ in
          try site.waitUntilDurable(server)
          try Program.succeed("chmod", ["-R", "a-w", site.store])
          try site.expectRefused(["run", "physical"], 1, saying: "could not write", "Permission denied", "HINT")
          try site.expectRefused(["status"], 3)
          try Program.succeed("chmod", ["-R", "u+w", site.store])
          _ = try site.backup()
          try site.waitUntilDurable(server)
          try site.expectUnbrokenWAL()
          try site.expectSoundBackups(atLeast: 1)
          // Away altogether, as a disk that is not mounted.
          try FileManager.default.moveItem(atPath: site.store, toPath: site.store + ".away")
          try site.expectRefused(["run", "physical"], 1, saying: site.store, "No such file or directory", "HINT")
          #expect(!FileManager.default.fileExists(atPath: site.store), "a store is never made where none is")
          try FileManager.default.moveItem(atPath: site.store + ".away", toPath: site.store)
          _ = try site.backup()
          try Poll.until(.seconds(60), "no condition", every: .milliseconds(100)) {
            try site.backupctl("status").succeeded
          }
        }
      }
    }
  }

  @Test("to restore, run, cancel and show is refused with what would have been right") func refusedCommands() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        let directory = site.directory + "/restored"
        let restore = ["restore", directory, "--cluster", "main"]
        try site.expectRefused(restore, 1, saying: "HINT")
        try site.expectRefused(["restore", directory, "--cluster", "mian"], 2, saying: "mian", "main")
        try site.expectRefused(
          restore + ["--backup", "20201102T030000Z-kqzvtmhd"], 1, saying: "could not find", "HINT")
        let usage = [
          ["--backup", "newest"], ["--target-time", "13am"], ["--target-lsn", "0/XYZ"], ["--target-xid", "few"],
          ["--target-immediate", "--target-lsn", "0/0"], ["--target-action", "dance"], ["--frobnicate"],
        ]
        for arguments in usage { try site.expectRefused(restore + arguments, 2) }
        #expect(!FileManager.default.fileExists(atPath: directory))
        // Without a daemon.
        for command in ["status", "jobs", "runs", "reload"] {
          try site.expectRefused([command], 1, saying: "the daemon is not running", site.socket, "HINT")
        }
        try site.expectRefused(["run", "physical"], 1, saying: "the daemon is not running")
        try site.withDaemon { _ in
          try site.expectRefused(["run", "phisical"], 1, saying: "phisical", "HINT")
          try site.expectRefused(["run", "wal"], 1, saying: "cannot run", "HINT")
          try site.expectRefused(["cancel", "20201102T030000Z-kqzvtmhd"], 1, saying: "no live run", "HINT")
          try site.expectRefused(["show", "20201102T030000Z-kqzvtmhd"], 1, saying: "could not find", "HINT")
          try site.expectDaemonRefused(1, saying: "Another backupd is running")
          // A state directory of its own does not let it take over the socket.
          try site.writeConfiguration(site.standardConfiguration.replacing(site.state, with: site.state + "2"))
          try site.expectDaemonRefused(1, saying: site.socket)
          try site.succeed("status")
        }
      }
    }
  }

  @Test("on reload leaves the old configuration in force and says so, by command and by SIGHUP") func reload() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try site.withDaemon { daemon in
          let bad = site.standardConfiguration.replacing("partial-interval", with: "partial-intervall")
          try site.writeConfiguration(bad)
          try site.expectRefused(["reload"], 2, saying: "did you mean \"partial-interval\"?")
          try site.expectRefused(["status"], 3)
          // The socket is all that commands to the daemon need of the file.
          #expect(try site.json("status")["conditions"][0]["id"].text == "configuration")
          _ = try site.backup()
          try site.writeConfiguration(site.standardConfiguration)
          try site.succeed("reload")
          try site.succeed("status")
          try site.writeConfiguration(bad)
          daemon.program.signal(SIGHUP)
          try Poll.until(.seconds(10), "exit status 3", every: .milliseconds(100)) {
            try site.backupctl("status").status == .exited(3)
          }
          try site.writeConfiguration(
            site.standardConfiguration.replacing(
              "kind: physical,", with: "kind: physical, schedule: \"\(FarSchedule.daily)\","))
          daemon.program.signal(SIGHUP)
          try Poll.until(.seconds(10), "exit status 0", every: .milliseconds(100)) {
            try site.backupctl("status").succeeded
          }
          #expect(try site.json("jobs")[0]["schedule"].text == FarSchedule.daily)
        }
      }
    }
  }

  @Test("asked by a user without rights is refused", .enabled(if: ProgramUser.canSwitch)) func rights() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.physical = ["rate: 1MiB"] }) { site in
        try site.withDaemon { _ in
          let run = try site.beginBackup()
          let commands = [["status"], ["run", "physical"], ["cancel", run], ["reload"], ["runs"], ["wal", "status"]]
          for command in commands { try site.expectRefused(command, 1, as: .nobody, saying: "not permitted", "HINT") }
          try site.expectRefused(["backups"], 1, as: .nobody, saying: "Permission denied", "HINT")
          // Behind the socket's mode stands the daemon's own check.
          try Program.succeed("chmod", ["666", site.socket])
          for command in [["run", "physical"], ["cancel", run], ["reload"]] {
            try site.expectRefused(command, 1, as: .nobody, saying: "permitted", "HINT")
          }
          #expect(try site.backupctl("status", as: .nobody).succeeded)
          #expect(try site.runs.last?["outcome"] == .null, "the run is still going")
          try site.succeed("cancel", run)
          #expect(try site.waitUntilEnded(run)["outcome"].text == "cancelled")
          #expect(try site.objects("packs") == [])
        }
      }
    }
  }
}
