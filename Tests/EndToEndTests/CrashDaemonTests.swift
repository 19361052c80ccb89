import BackupModel
import Glibc
import TestSupport
import Testing

@Suite("A daemon that is killed", .serialized) struct CrashDaemonTests {
  @Test("goes on where it was: no gap in the WAL, no half backup") func survivesKills() throws {
    try kill(version: 15, times: 5, scale: 2, seed: Soak.seed)
  }

  @Test("goes on where it was, Soak: 30 kills", .enabled(if: Soak.isOn), arguments: [15, 18])
  func survivesKillsSoak(version: Int) throws {
    try kill(version: version, times: 30, scale: 20, seed: Soak.seed)
  }

  private func kill(version: Int, times: Int, scale: Int, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    try PostgresServer.run(version: version) { server in
      try server.pgbenchInitialize(scale: scale)
      try Ledger.create(server)
      try BackupSite.run(server) { site in
        let began = ContinuousClock.now
        try site.withDaemon { _ in _ = try site.backup() }
        let typical = ContinuousClock.now - began
        try server.underLoad { _ in
          try server.underLoad(clients: 1, script: Ledger.script) { _ in
            for number in 1...times {
              // The moment is the point: anywhere between the daemon's first instruction and a while after its backup.
              let moment = typical * Double.random(in: 0...1.3, using: &random)
              try killOnce(site, after: moment, early: number % 4 == 0, "kill \(number) of seed \(seed)")
            }
          }
        }
        try site.withDaemon { _ in
          try site.waitUntilDurable(server)
          try site.expectUnbrokenWAL()
          #expect(!(try site.runs.contains { $0["outcome"].isNull }), "a run of a killed daemon is still open")
          _ = try site.backup()
          try site.expectSoundBackups(atLeast: 2)
          try Ledger.expectRestored(site, of: server)
        }
      }
    }
  }

  /// - Parameter early: Killed before it is known to be ready.
  private func killOnce(_ site: BackupSite, after moment: Duration, early: Bool, _ what: String) throws {
    try site.startingDaemon { daemon in
      if early {
        usleep(UInt32(moment.components.attoseconds / 1_000_000_000_000 / 4))
        return try daemon.kill()
      }
      try site.waitUntilReady(daemon)
      try site.expectUnbrokenWAL()
      let run = try site.beginBackup()
      usleep(UInt32(moment.components.seconds) * 1_000_000 + UInt32(moment.components.attoseconds / 1_000_000_000_000))
      try daemon.kill()
      // The next daemon records how it ended, whenever that was.
      try site.startingDaemon { next in
        try site.waitUntilReady(next)
        let outcome = try site.waitUntilEnded(run)["outcome"].text
        #expect(outcome == "interrupted" || outcome == "succeeded", "\(what): \(outcome ?? "none")")
        try next.kill()
      }
    }
  }

  @Test("stops within 10 s when it is told to in the middle of a backup, and starts again") func stopsCleanly() throws {
    try PostgresServer.run(version: 18) { server in
      try server.pgbenchInitialize(scale: 2)
      try Ledger.create(server)
      try BackupSite.run(server, change: { $0.physical = ["rate: 2MiB"] }) { site in
        let run = try site.withDaemon { daemon in
          let run = try site.beginBackup()
          try site.waitUntilCopying(run)
          daemon.program.signal(SIGTERM)
          let result = try daemon.program.waitForExit(deadline: .seconds(10))
          #expect(result.succeeded)
          #expect(try site.objects("packs") == [], "an interrupted run left packs")
          return run
        }
        try site.writeConfiguration(site.standardConfiguration.replacing(", rate: 2MiB", with: ""))
        try site.withDaemon { _ in
          #expect(try site.waitUntilEnded(run)["outcome"].text == "interrupted")
          _ = try site.backup()
          try site.expectUnbrokenWAL()
          try site.expectSoundBackups(atLeast: 1)
        }
      }
    }
  }
}
