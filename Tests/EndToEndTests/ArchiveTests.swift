import BackupModel
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A store of copies in a cold class", .serialized) struct ArchiveTests {
  private static func run(_ keys: String = "", _ body: (PostgresServer, ObjectServer, BackupSite) throws -> Void) throws
  {
    try PostgresServer.run { database in
      try ObjectServer.run(.moto) { server in
        try CloudSite.run(
          database, server, alsoLocal: true, place: ", storage-class: GLACIER", more: ", durability: on-copy" + keys,
          jobs: "  archive: {kind: copy, cluster: main, to: cloud, keep: {monthly: 24}, retries: 0}\n"
        ) { site in
          try Numbers.create(database)
          try body(database, server, site)
        }
      }
    }
  }

  private func backUp(_ number: Int, _ database: PostgresServer, _ site: BackupSite) throws {
    try Numbers.add(number, database)
    try site.backup()
    try database.psql("select pg_switch_wal()")
    try Numbers.add(number + 100, database)
    try site.waitUntilDurable(database)
  }

  @Test("gets the newest backup alone, and restores it once thawed, everything else lost")
  func restores() throws {
    try Self.run { database, server, site in
      try site.withDaemon { _ in
        try backUp(1, database, site)
        #expect(try site.json("backups")[0]["stores"] == .array([.text("local")]), "it has no part in backups")
        #expect(try site.json("status")["stores"].array?.contains { $0["name"].text == "cloud" } == false)
        let before = try site.json("status")["copies"][0]
        #expect(before.keys == ["store", "cluster", "job", "backup", "copied"])
        #expect(before["store"].text == "cloud" && before["backup"].isNull && before["copied"].isNull)
        #expect(try status(site).contains("copy in cloud  none"))
        let run = try site.json("run", "archive")
        #expect(run["outcome"].text == "succeeded" && (run["storedBytes"].integer ?? 0) > 1 << 20, "\(run)")
        #expect(try site.json("run", "archive")["storedBytes"].integer == 0, "it is there already")
        let backup = try site.json("backups")[0]
        #expect(backup["stores"] == .array([.text("local"), .text("cloud")]))
        #expect(backup["missingStores"] == .array([]))
        let copy = try site.json("status")["copies"][0]
        #expect(copy["backup"] == backup["id"] && copy["copied"].text != nil, "\(copy)")
        #expect(try status(site).contains("copy in cloud  \(backup["id"].text ?? "?"), copied "))
      }
      let presence = try site.json("verify", "--store", "cloud")
      #expect(presence[0]["sound"].bool == true && presence[0]["unread"] == .array([]))
      let read = try site.json("verify", "--store", "cloud", "--full")
      #expect(read[0]["sound"].bool == true && read[0]["unread"].array?.isEmpty == false)
      #expect(try site.json("prune", "--dry-run").array?.map { $0["store"].text } == ["local", "cloud"])
      // Everything but the bucket and the key is lost.
      try FileManager.default.removeItem(atPath: site.store)
      try restore(server, site)
    }
  }

  /// In words, whatever is wrong besides.
  private func status(_ site: BackupSite) throws -> String { try site.backupctl("status").standardOutput }

  private func restore(_ server: ObjectServer, _ site: BackupSite) throws {
    let directory = try site.fresh("restored")
    let command = ["restore", directory, "--cluster", BackupSite.cluster, "--store", "cloud", "--thaw-tier", "bulk"]
    let plan = try site.json(command + ["--dry-run"])["thaw"]
    #expect(
      plan.keys == [
        "store", "classes", "tier", "days", "packs", "bytes", "frozenPacks", "frozenBytes", "thawingPacks",
        "expectedSeconds", "estimatedDollars",
      ])
    #expect(plan["classes"].text == "GLACIER" && plan["expectedSeconds"].integer == 12 * 3600)
    #expect(try #require(plan["frozenPacks"].integer) > 0 && plan["frozenPacks"] == plan["packs"])
    let unasked = try site.backupctl(command)
    #expect(unasked.status == .exited(2) && unasked.standardError.contains("--thaw-tier bulk --yes"))
    #expect(try site.json(command + ["--dry-run"])["thaw"]["thawingPacks"].integer == 0, "nothing was asked for")
    let deep = try site.backupctl(command.dropLast() + ["fast"])
    #expect(deep.status == .exited(2))
    try interrupt(command, server, site)
    let report = try site.json(command + ["--yes"])
    #expect(report["phases"].array?.compactMap { $0["name"].text } == ["prepare", "thaw", "copy", "sync"], "\(report)")
    try PostgresServer.startRestored(directory: directory) { copy in
      try copy.waitUntilPromoted()
      #expect(try Numbers.all(copy) == [1])
    }
    // What was asked for stays asked for.
    let later = try site.json(["restore", site.fresh("again")] + command.dropFirst(2) + ["--dry-run"])["thaw"]
    #expect(later["frozenPacks"].integer == 0)
  }

  /// Kills a restore that has asked for everything and waits.
  private func interrupt(_ command: [String], _ server: ObjectServer, _ site: BackupSite) throws {
    try server.slowThawing(seconds: 6)
    let look = try ["restore", site.fresh("look")] + command.dropFirst(2) + ["--dry-run"]
    let words = command + ["--yes", "--config", site.configuration]
    try Program.running(site.program("backupctl"), words, as: .postgres) { program in
      try Poll.until(.seconds(60), "everything to be asked for", every: .milliseconds(100)) {
        let plan = try site.json(look)["thaw"]
        guard program.ended == nil else {
          throw EndToEndError.unexpected("the restore has ended: \(program.standardError)\n\(plan)")
        }
        return plan["thawingPacks"] == plan["packs"]
      }
      program.signal(SIGKILL)
      try program.waitForExit(deadline: .seconds(10))
    }
    #expect(try site.json(look)["thaw"]["frozenPacks"].integer == 0, "the store has not forgotten")
  }

  @Test("whose copying is killed lists nothing, and the next run completes it")
  func killed() throws {
    try Self.run(", bandwidth: 512KiB") { database, server, site in
      try site.withDaemon { daemon in
        try backUp(1, database, site)
        try site.succeed("run", "archive", "--no-wait")
        try Poll.until(.seconds(60), "a copy going on", every: .milliseconds(50)) {
          let progress = try site.json("runs", "archive").array?.last?["progress"]
          return progress?["phase"].text == "copy" && (progress?["doneBytes"].integer ?? 0) > 0
        }
        try daemon.kill()
      }
      #expect(try site.json("backups")[0]["stores"] == .array([.text("local")]))
      try site.withDaemon { _ in
        #expect(try site.json("runs", "archive").array?.last?["outcome"].text == "interrupted")
        let run = try site.json("run", "archive")
        #expect(run["outcome"].text == "succeeded", "\(run)")
      }
      #expect(try site.json("backups")[0]["stores"] == .array([.text("local"), .text("cloud")]))
      #expect(try site.json("verify", "--store", "cloud")[0]["sound"].bool == true)
    }
  }
}
