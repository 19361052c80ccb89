import Foundation
import TestSupport
import Testing

/// Objectives held against what is attained, by the whole daemon with a real server.
@Suite("Objectives", .serialized) struct ObjectivesTests {
  private static let tier = "tiers: {tokens: {cluster: main, rpo: 20s, rto: 15m}}\n"
  private static let id = "objective-rpo:tokens"

  @Test("are met while WAL is streamed, in danger and missed when the server is gone, and met again, each told once")
  func serverLost() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try AlertChannels.run(site) { channels in
          // What follows for the slot is looked at so seldom that it is over before.
          try channels.configure(monitoring: ["interval: 30s"])
          try ConditionSite.run(channels) { conditions in
            try site.backup()
            try site.waitUntilDurable(server)
            try promise(site, "tiers: {tokens: {cluster: main, rpo: 60s, rto: 15m}}\n")
            try untilTier(site, "near the present") {
              ($0["lossSeconds"].number ?? 99) < 15 && $0["rpoState"].text == "met"
            }
            let tier = try site.json("status")["tiers"][0]
            #expect(tier["roads"][0]["store"].text == "local" && tier["roads"][0]["means"].text == "wal")
            #expect(tier["recoverySeconds"].isNull && tier["recoveryBasis"].text == "not measured")
            #expect(tier["rtoState"].text == "unknown")
            #expect(transitions(conditions.daemon) == (0, 0))
            // Idle, and still current: the server's clock is heard.
            try server.stop()
            let text = try conditions.expectRaised(Self.id, severity: "warning", besides: ["server:main"])
            #expect(text.contains("breaks in") && text.contains("if WAL keeps lagging"), "\(text)")
            try untilTier(site, "older than the objective") {
              ($0["lossSeconds"].number ?? 0) > 60 && $0["rpoState"].text == "missed"
            }
            try conditions.channels.expectTold(["raised", "worsened"], of: Self.id, besides: ["server:main"])
            #expect(try condition(site)["severity"].text == "critical")
            #expect(try site.backupctl("status").status == .exited(3))
            try server.start()
            try untilTier(site, "near the present again") {
              ($0["lossSeconds"].number ?? 99) < 15 && $0["rpoState"].text == "met"
            }
            try conditions.expectResolved(
              Self.id, changes: ["raised", "worsened", "resolved"], besides: ["server:main"])
            #expect(transitions(conditions.daemon) == (1, 1), "\(conditions.daemon.log.suffix(2000))")
          }
          try expectHistory(site)
        }
      }
    }
  }

  @Test(
    "are missed when a store takes nothing, and met again when it does, each told once over two restarts",
    .enabled(if: ProgramUser.canSwitch))
  func storeLost() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try AlertChannels.run(site) { channels in
          try channels.configure()
          let shipping = "wal-store:main:local"
          var since: String?
          try ConditionSite.run(channels) { conditions in
            try site.backup()
            try site.waitUntilDurable(server)
            try promise(site, Self.tier)
            try untilTier(site, "met") { $0["rpoState"].text == "met" }
            try Program.succeed("chmod", ["-R", "a-w", site.store])
            try Numbers.add(1, server)
            try untilTier(site, "missed for want of a store") {
              ($0["lossSeconds"].number ?? 0) > 20 && $0["rpoState"].text == "missed"
            }
            try conditions.expectRaised(Self.id, severity: "critical", besides: [shipping])
            since = try condition(site)["since"].text
            #expect(transitions(conditions.daemon) == (1, 0))
            let metrics = try site.succeed("metrics")
            #expect(metrics.contains("backupd_store_up{store=\"local\"} 0\n"))
            #expect(metrics.contains("condition=\"\(Self.id)\",severity=\"critical\""))
            try conditions.expectRaised(shipping, severity: "warning", besides: [Self.id])
          }
          try ConditionSite.run(channels) { conditions in
            try untilTier(site, "known") { $0["rpoState"].text == "missed" }
            #expect(try condition(site)["since"].text == since && since != nil)
          }
          // It is mended while nobody looks.
          try Program.succeed("chmod", ["-R", "u+w", site.store])
          try ConditionSite.run(channels) { conditions in
            try untilTier(site, "met again") { ($0["lossSeconds"].number ?? 99) < 15 && $0["rpoState"].text == "met" }
            try conditions.expectResolved(Self.id, besides: [shipping])
            try conditions.expectResolved(shipping, besides: [Self.id])
            #expect(transitions(conditions.daemon) == (0, 1), "\(conditions.daemon.log.suffix(2000))")
          }
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
        let configuration =
          site.standardConfiguration + """
              dump: {kind: logical, cluster: main, tables: [public.numbers], data-only: true}
              proof: {kind: drill, cluster: main}

            """
        try site.writeConfiguration(configuration + tiers)
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
        try expectSlow(site, configuration)
      }
    }
  }

  /// What the drill measured is longer than another promise.
  private func expectSlow(_ site: BackupSite, _ configuration: String) throws {
    try AlertChannels.run(site) { channels in
      try site.writeConfiguration(configuration + "tiers: {tokens: {cluster: main, rpo: 1h, rto: 1s}}\n")
      try channels.extendConfiguration()
      try ConditionSite.run(channels) { conditions in
        let text = try conditions.expectRaised("objective-rto:tokens", severity: "critical")
        #expect(text.contains("takes longer than its RTO of 1s") && text.contains("drill of"), "\(text)")
        try site.writeConfiguration(configuration)
        try channels.extendConfiguration()
        try site.succeed("reload")
        try conditions.expectResolved("objective-rto:tokens")
      }
    }
  }

  @Test("that are promised no more are not missed any more, once the file is read again") func reload() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.streamsWAL = false }) { site in
        try AlertChannels.run(site) { channels in
          try channels.configure()
          let without = try String(contentsOfFile: site.configuration, encoding: .utf8)
          try site.writeConfiguration(without + Self.tier)
          try ConditionSite.run(channels) { conditions in
            let text = try conditions.expectRaised(Self.id, severity: "critical")
            #expect(text.contains("cannot be restored at all"), "\(text)")
            try site.writeConfiguration(without)
            #expect(try site.succeed("reload").contains("tier \"tokens\" removed"))
            #expect(try condition(site).isNull && site.json("status")["tiers"] == .array([]))
            try conditions.expectResolved(Self.id)
          }
        }
      }
    }
  }

  /// Adds objectives to those of a daemon that runs: one of a cluster that has no backup yet is missed at once.
  private func promise(_ site: BackupSite, _ tiers: String) throws {
    try site.writeConfiguration(String(contentsOfFile: site.configuration, encoding: .utf8) + tiers)
    try site.succeed("reload")
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
