import FoundationEssentials
import TestSupport
import Testing

/// Objectives held against what is attained, by the whole daemon with a real server.
@Suite("Objectives", .serialized) struct ObjectivesTests {
  private static let tier = "tiers: {tokens: {cluster: main, rpo: 20s, rto: 15m}}\n"
  private static let id = "objective-rpo:tokens"

  @Test("are met while WAL is streamed, missed once when the server is gone, and met again once when it is back")
  func serverLost() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try site.writeConfiguration(site.standardConfiguration + Self.tier)
        try site.withDaemon { daemon in
          try untilTier(site, "known that nothing can be restored") {
            $0["roads"] == .array([]) && $0["rpoState"].text == "missed"
          }
          #expect(try site.json("status")["conditions"].array?.contains { $0["id"].text == Self.id } == true)
          try site.backup()
          try untilTier(site, "near the present, and calm for a minute") {
            ($0["lossSeconds"].number ?? 99) < 15 && $0["rpoState"].text == "met"
          }
          let tier = try site.json("status")["tiers"][0]
          #expect(tier["roads"][0]["store"].text == "local" && tier["roads"][0]["means"].text == "wal")
          #expect(tier["recoverySeconds"].isNull && tier["recoveryBasis"].text == "not measured")
          #expect(tier["rtoState"].text == "unknown")
          let before = transitions(daemon)
          #expect(before.raised == 1 && before.resolved == 1, "\(daemon.log.suffix(2000))")
          // Idle, and still current: the server's clock is heard.
          try server.stop()
          try untilTier(site, "older than the objective") {
            ($0["lossSeconds"].number ?? 0) > 20 && $0["rpoState"].text == "missed"
          }
          let conditions = try #require(try site.json("status")["conditions"].array)
          let raised = conditions.filter { $0["id"].text == Self.id }
          #expect(raised.count == 1 && raised[0]["severity"].text == "critical")
          #expect(try site.backupctl("status").status == .exited(3))
          try server.start()
          try untilTier(site, "near the present again") {
            ($0["lossSeconds"].number ?? 99) < 15 && $0["rpoState"].text == "met"
          }
          #expect(try site.json("status")["conditions"].array?.contains { $0["id"].text == Self.id } == false)
          let after = transitions(daemon)
          #expect(after.raised == 2 && after.resolved == 2, "\(daemon.log.suffix(2000))")
        }
        try expectHistory(site)
      }
    }
  }

  @Test(
    "are missed once when a store takes nothing, also over a restart, and met again once when it does",
    .enabled(if: ProgramUser.canSwitch))
  func storeLost() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try site.writeConfiguration(site.standardConfiguration + Self.tier)
        var since: String?
        try site.withDaemon { daemon in
          try site.backup()
          try site.waitUntilDurable(server)
          try untilTier(site, "met") { $0["rpoState"].text == "met" }
          try Program.succeed("chmod", ["-R", "a-w", site.store])
          try Numbers.add(1, server)
          try untilTier(site, "missed for want of a store") {
            ($0["lossSeconds"].number ?? 0) > 20 && $0["rpoState"].text == "missed"
          }
          since = try condition(site)["since"].text
          #expect(transitions(daemon).raised == 1)
          let metrics = try site.succeed("metrics")
          #expect(metrics.contains("backupd_store_up{store=\"local\"} 0\n"))
          #expect(metrics.contains("condition=\"\(Self.id)\",severity=\"critical\""))
        }
        try site.withDaemon { daemon in
          try untilTier(site, "known") { $0["rpoState"].text == "missed" }
          #expect(try condition(site)["since"].text == since && since != nil)
          try Program.succeed("chmod", ["-R", "u+w", site.store])
          try untilTier(site, "met again") { ($0["lossSeconds"].number ?? 99) < 15 && $0["rpoState"].text == "met" }
          #expect(try condition(site).isNull)
          let told = transitions(daemon)
          #expect(told.raised == 0 && told.resolved == 1, "\(daemon.log.suffix(2000))")
        }
      }
    }
  }

  @Test("count a dump of all the tier's tables, and what the last drill measured") func dumpAndDrill() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try Numbers.add(1, server)
      let change: (inout BackupSite.Options) -> Void = { $0.clusterKeys = ["programs: \(server.binDirectory)"] }
      try BackupSite.run(server, change: change) { site in
        let tiers = """
          tiers:
            numbers: {cluster: main, tables: [numbers], rpo: 1h, rto: 15m}
            others:  {cluster: main, tables: [numbers, others], rpo: 1h, rto: 15m}

          """
        try site.writeConfiguration(
          site.standardConfiguration + """
              dump: {kind: logical, cluster: main, tables: [public.numbers], data-only: true}
              proof: {kind: drill, cluster: main}

            """ + tiers)
        try site.withDaemon { _ in
          let dump = try #require(try site.json("run", "dump")["backup"].text)
          try untilTier(site, "held by a dump") {
            $0["roads"][0]["means"].text == "logical" && $0["roads"][0]["backup"].text == dump
          }
          // A dump of some tables brings no others back.
          #expect(try site.json("status")["tiers"][1]["roads"] == .array([]))
          try site.backup()
          try site.waitUntilDurable(server)
          let drill = try site.json("drill", "proof")[0]
          let measured = try #require(drill["measuredRTOSeconds"].number)
          try untilTier(site, "measured") { !$0["recoverySeconds"].isNull }
          let tier = try site.json("status")["tiers"][1]
          #expect(tier["rtoState"].text == "met" && tier["recoveryBasis"].text?.hasPrefix("drill of ") == true)
          #expect(tier["roads"][0]["means"].text == "wal")
          // WAL since then adds to it; the server's start does not shrink.
          #expect((tier["recoverySeconds"].number ?? 0) > 0 && measured > 0, "\(tier)")
        }
      }
    }
  }

  @Test("that are promised no more are not missed any more, once the file is read again") func reload() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.streamsWAL = false }) { site in
        try site.writeConfiguration(site.standardConfiguration + Self.tier)
        try site.withDaemon { _ in
          try untilTier(site, "missed") { $0["rpoState"].text == "missed" }
          #expect(try !condition(site).isNull)
          try site.writeConfiguration(site.standardConfiguration)
          #expect(try site.succeed("reload").contains("tier \"tokens\" removed"))
          #expect(try condition(site).isNull && site.json("status")["tiers"] == .array([]))
        }
      }
    }
  }

  private func condition(_ site: BackupSite) throws -> JSON {
    try (site.json("status")["conditions"].array ?? []).first { $0["id"].text == Self.id } ?? .null
  }

  /// The state directory holds what was attained, readable by anybody's tools.
  private func expectHistory(_ site: BackupSite) throws {
    let directory = site.state + "/objectives"
    let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("minutes-") }
    let text = try names.sorted().map { try String(contentsOfFile: "\(directory)/\($0)", encoding: .utf8) }.joined()
    let lines = try text.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(!lines.isEmpty && lines.allSatisfy { $0["tiers"]["tokens"]["rpoState"].text != nil })
  }

  private func untilTier(_ site: BackupSite, _ what: String, _ isIt: (JSON) throws -> Bool) throws {
    try Poll.until(.seconds(150), "the tier \(what)", every: .milliseconds(500)) {
      try isIt(try site.json("status")["tiers"][0])
    }
  }

  /// How often the objective was told to be missed, and to be met again.
  private func transitions(_ daemon: RunningDaemon) -> (raised: Int, resolved: Int) {
    let lines = daemon.log.split(separator: "\n").filter { $0.contains(Self.id) }
    return (
      lines.count { $0.contains("objective not met") && $0.contains("severity=critical") },
      lines.count { $0.contains("objective is met again") }
    )
  }
}
