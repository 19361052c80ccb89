import FoundationEssentials
import TestSupport
import Testing

@Suite("Alerts", .serialized) struct AlertTests {
  private static let condition = "server:main"

  private func withChannels(_ body: (PostgresServer, AlertChannels) throws -> Void) throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try AlertChannels.run(site) { channels in
          try channels.configure()
          try body(server, channels)
        }
      }
    }
  }

  @Test(
    "tell of a stopped server once on each channel within a minute, and once that it is back, whatever kills the daemon"
  )
  func stoppedServer() throws {
    try withChannels { server, channels in
      try channels.site.withDaemon { daemon in
        try channels.site.backup()
        try channels.site.waitUntilDurable(server)
        #expect(try channels.counts(of: Self.condition) == [0, 0, 0, 0])
        try server.stop(.immediate)
        let stopped = ContinuousClock.now
        try channels.wait(for: [1, 1, 1, 1], of: Self.condition)
        Programs.note("told \((ContinuousClock.now - stopped)) after the server's stop")
        try channels.waitUntilAcknowledged("mail", "slack", "hook", "script")
        try daemon.kill()
      }
      // Another daemon finds what holds, and what has been told of it.
      try channels.site.withDaemon { daemon in
        try server.start()
        try channels.wait(for: [2, 2, 2, 2], of: Self.condition, deadline: .seconds(90))
        try daemon.stop()
      }
      try channels.site.withDaemon { _ in
        try channels.site.backup()
        #expect(try channels.counts(of: Self.condition) == [2, 2, 2, 2])
      }
      let mails = try channels.mail.mails().filter { $0.text.contains("condition \(Self.condition)") }
      #expect(mails[0].text.hasPrefix("CRITICAL: "))
      #expect(mails[1].text.hasPrefix("RESOLVED after ") && mails[1].inReplyTo == mails[0].messageID)
      try expectNoSecrets(channels.site)
    }
  }

  @Test("that a dead mail server did not take are sent once by the daemon after the next") func deadMailServer() throws
  {
    try withChannels { server, channels in
      try channels.mail.answer("451 4.3.0 try later")
      try channels.site.withDaemon { daemon in
        try channels.site.backup()
        try server.stop(.immediate)
        try channels.wait(for: [0, 1, 1, 1], of: Self.condition)
        try channels.waitUntilAcknowledged("slack", "hook", "script")
        try daemon.kill()
      }
      try channels.site.withDaemon { daemon in try daemon.kill() }
      try channels.mail.answer(nil)
      try channels.site.withDaemon { _ in
        try channels.wait(for: [1, 1, 1, 1], of: Self.condition)
        try server.start()
        try channels.wait(for: [2, 2, 2, 2], of: Self.condition, deadline: .seconds(90))
      }
      #expect(try channels.counts(of: Self.condition) == [2, 2, 2, 2])
    }
  }

  @Test("that a withdrawn credential holds up are told of on the other channels, and come when there is a new one")
  func withdrawnCredential() throws {
    try withChannels { server, channels in
      let site = channels.site
      let (secret, aside) = (site.directory + "/password", site.directory + "/aside")
      // On all but the one it is about.
      func waitForTrouble(_ count: Int) throws {
        try channels.wait(for: [0, count, count, count], of: "alert-channel:mail")
      }
      try site.withDaemon { daemon in
        try site.backup()
        try FileManager.default.moveItem(atPath: secret, toPath: aside)
        try channels.writeSecret("wr0ng-s3cret", to: secret)
        try server.stop(.immediate)
        try channels.wait(for: [0, 1, 1, 1], of: Self.condition)
        try waitForTrouble(1)
        let condition = try site.json("status")["conditions"].array?.first { $0["id"].text == "alert-channel:mail" }
        let report = try #require(condition)
        #expect(report["summary"].text?.contains("did not let \"backupd\" log in") == true, "\(report)")
        #expect(report["detail"].text?.contains("535") == true && report["hint"].text?.contains("password") == true)
        try FileManager.default.removeItem(atPath: secret)
        try FileManager.default.moveItem(atPath: aside, toPath: secret)
        // Tried again after pauses that have grown meanwhile.
        try channels.wait(for: [1, 1, 1, 1], of: Self.condition, deadline: .seconds(120))
        try waitForTrouble(2)
        try server.start()
        try channels.wait(for: [2, 2, 2, 2], of: Self.condition, deadline: .seconds(90))
        try waitForTrouble(2)
        #expect(!daemon.log.contains("s3cret"))
      }
      try expectNoSecrets(site)
    }
  }

  @Test("are tried by backupctl alerts test, which says what each channel answered") func tried() throws {
    try withChannels { _, channels in
      let site = channels.site
      try site.withDaemon { daemon in
        let all = try #require(try site.json("alerts", "test").array)
        #expect(all.map { $0["channel"].text } == ["hook", "mail", "script", "slack"])
        #expect(all.map { $0["kind"].text } == ["url", "smtp", "command", "slack"])
        #expect(all.allSatisfy { $0["delivered"].bool == true && $0["error"].isNull })
        #expect(all.allSatisfy { $0.keys == ["channel", "kind", "delivered", "answer", "error", "durationSeconds"] })
        #expect(all[1]["answer"].text == "250 2.0.0 queued as 0001" && all[3]["answer"].text == "200 ok")
        #expect(try channels.mail.mails().map(\.subject).first?.hasSuffix("test of channel mail") == true)

        try channels.web.answer("404 no_service")
        let failed = try site.backupctl("alerts", "test", "slack")
        #expect(failed.status == .exited(1))
        #expect(failed.standardOutput.contains("slack (slack)  failed in"), "\(failed)")
        #expect(failed.standardOutput.contains("It answered 404: no_service"))
        let unknown = try site.backupctl("alerts", "test", "pager")
        #expect(unknown.status == .exited(1))
        #expect(unknown.standardError.contains("there is no alert channel \"pager\""))
        #expect(try site.backupctl("alerts", "test", "script").status == .exited(0))

        // A channel that goes is told no more; what is wrong with it is forgotten.
        try site.writeConfiguration(site.standardConfiguration)
        let differences = try site.json("reload")["differences"].array?.compactMap(\.text) ?? []
        #expect(differences.contains("alert channel \"slack\" removed"))
        #expect(try site.json("alerts", "test") == .array([]))
        #expect(!daemon.log.contains("s3cret"))
      }
      try expectNoSecrets(site)
    }
  }

  @Test("are not all: the heartbeat goes on while all is well, and stops with a critical condition") func heartbeat()
    throws
  {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.physical = ["retries: 0"] }) { site in
        let port = try FreePort.find()
        try "".write(toFile: site.directory + "/alive", atomically: false, encoding: .utf8)
        // It logs each request.
        let arguments = ["-u", "-m", "http.server", "\(port)", "--bind", "127.0.0.1", "--directory", site.directory]
        try Program.running("python3", arguments) { receiver in
          try receiver.waitForOutput(containing: "Serving HTTP")
          func beats() -> Int { receiver.standardError.split(separator: "\n").count { $0.contains("GET /alive") } }
          func wait(for count: Int) throws {
            try Poll.until(.seconds(30), "\(count) heartbeats") { beats() >= count }
          }
          try site.writeConfiguration(
            site.standardConfiguration
              + "monitoring: {interval: 1s}\nheartbeat: {url: \"http://127.0.0.1:\(port)/alive\", every: 1s}\n")
          try site.withDaemon { _ in
            try site.backup()
            try wait(for: 3)
            try server.stop(.immediate)
            #expect(try site.backupctl("run", "physical").status == .exited(1))
            let conditions = try site.json("status")["conditions"].array ?? []
            #expect(conditions.contains { $0["id"].text == "job:physical" && $0["severity"].text == "critical" })
            let before = beats()
            #expect(try site.backupctl("run", "physical").status == .exited(1))
            #expect(beats() <= before + 1, "one may have been on its way")
            try server.start()
            try site.backup()
            try wait(for: beats() + 3)
            // An address that nobody answers at is itself told of.
            try site.writeConfiguration(
              site.standardConfiguration
                + "monitoring: {interval: 1s}\nheartbeat: {url: \"http://127.0.0.1:1/alive\", every: 1s}\n")
            try site.succeed("reload")
            try Poll.until(.seconds(30), "the condition \"heartbeat\"", every: .milliseconds(300)) {
              try site.json("status")["conditions"].array?.contains { $0["id"].text == "heartbeat" } == true
            }
          }
        }
      }
    }
  }

  /// No file of the daemon's state holds what a secret's file does.
  private func expectNoSecrets(_ site: BackupSite) throws {
    let found = try Program.run("/bin/grep", ["-rl", "s3cret", site.state])
    #expect(found.status == .exited(1), "\(found.standardOutput)")
  }
}
