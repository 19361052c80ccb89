import TestSupport
import Testing

@Suite("backupctl --json", .serialized) struct DocumentTests {
  @Test("prints the documented keys, and tells by its exit status") func keys() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try site.writeConfiguration(
          site.standardConfiguration + "tiers: {tokens: {cluster: main, tables: [tokens], rpo: 1h, rto: 1h}}\n")
        try site.withDaemon { _ in
          let run = try site.json("run", "physical")
          try site.waitUntilDurable(server)
          #expect(run.keys == Self.run)
          #expect(run["outcome"].text == "succeeded" && run["trigger"].text == "manual")
          try expectDaemonDocuments(site)
          try expectRepositoryDocuments(site, run["backup"].text ?? "")
          try expectStatuses(site)
        }
        // Without the daemon: what needs it fails, what reads the repository does not.
        #expect(try site.backupctl("status", "--json").status == .exited(1))
        #expect(try site.backupctl("status", "--json").standardOutput == "")
        #expect(try site.json("backups").array?.count == 1)
        #expect(try site.json("wal", "list").array?.count == 1)
      }
    }
  }

  private func expectDaemonDocuments(_ site: BackupSite) throws {
    let status = try site.json("status")
    #expect(
      status.keys == [
        "version", "pid", "startedAt", "configurationPath", "configurationLoadedAt", "clusters", "tiers", "stores",
        "copies", "jobs", "running", "conditions",
      ])
    let cluster = status["clusters"][0]
    #expect(cluster.keys == ["name", "systemIdentifier", "windows", "stores", "roads", "lastBackup", "wal"])
    #expect(cluster["stores"][0].keys == ["store", "windows"])
    #expect(cluster["windows"][0].keys == ["from", "to", "fromLSN", "toLSN", "timeline"])
    try Poll.until(.seconds(60), "the first look at objectives") {
      try !(site.json("status")["tiers"].array ?? []).isEmpty && !site.json("status")["clusters"][0]["roads"][0].isNull
    }
    let looked = try site.json("status")
    #expect(looked["clusters"][0]["roads"][0].keys == ["store", "means", "backup", "to", "lossSeconds"])
    #expect(
      looked["tiers"][0].keys == [
        "name", "cluster", "tables", "rpoSeconds", "lossSeconds", "rpoState", "breachSeconds", "worstLossSeconds",
        "roads", "rtoSeconds", "recoverySeconds", "recoveryBasis", "rtoState",
      ])
    #expect(cluster["lastBackup"].keys == Self.backup && cluster["wal"].keys == Self.wal)
    let jobs = try #require(try site.json("jobs").array)
    #expect(jobs.compactMap { $0["name"].text }.sorted() == ["physical", "wal"])
    for job in jobs {
      #expect(
        job.keys == [
          "name", "kind", "cluster", "schedule", "timezone", "nextRun", "lastRun", "lastOutcome", "lastSuccess",
          "consecutiveFailures", "running",
        ])
    }
    let runs = try #require(try site.json("runs").array)
    #expect(!runs.isEmpty && runs.allSatisfy { $0.keys == Self.run })
    let wal = try #require(try site.json("wal", "status").array)
    #expect(wal.count == 1 && wal[0].keys == Self.wal)
    #expect(wal[0]["stores"][0].keys == ["name", "durableLSN", "lagSeconds"])
  }

  private func expectRepositoryDocuments(_ site: BackupSite, _ id: String) throws {
    let backups = try #require(try site.json("backups").array)
    #expect(backups.count == 1 && backups[0].keys == Self.backup && backups[0]["id"].text == id)
    #expect(backups[0]["stores"] == .array([.text("local")]) && backups[0]["missingStores"] == .array([]))
    #expect(
      try site.json("show", id).keys
        == Self.backup.union([
          "run", "serverVersion", "walSegmentBytes", "dataChecksums", "source", "fileCount", "pagesRead",
          "pagesChanged", "pagesRewritten", "tablespaces", "damagedPages", "configurationFiles", "warnings",
        ]))
    let pruned = try site.json("prune", "--dry-run")[0]
    #expect(pruned.keys == ["cluster", "systemIdentifier", "store", "entries", "freedBytes", "refusal", "error"])
    #expect(pruned["entries"][0].keys == ["action", "kind", "name", "count", "bytes", "reason"])
    let verified = try #require(try site.json("verify", "--full").array)
    #expect(
      verified.count == 1
        && verified[0].keys == [
          "backup", "cluster", "depth", "sound", "stores", "files", "objects", "bytes", "damage",
          "unread",
        ])
    #expect(verified.first?["sound"].bool == true)
    #expect(
      try site.json("restore", site.fresh("nowhere"), "--cluster", BackupSite.cluster, "--dry-run").keys == [
        "cluster", "backup", "target", "targetLSN", "timeline", "plannedEndLSN", "action", "files", "totalBytes",
        "warnings", "thaw",
      ])
    let info = try site.json("repository", "info")
    #expect(info.keys == ["repository", "encryption", "keyFile", "keyID", "recipients", "stores", "clusters"])
    let recipients = try #require(info["recipients"].array)
    #expect(recipients.count == 1 && recipients[0]["kind"].text == "key-file" && recipients[0]["inUse"].bool == true)
    #expect(recipients[0].keys == ["name", "kind", "keyFile", "keyFileID", "awsKey", "region", "inUse"])
    #expect(recipients[0]["keyFile"].text == site.keyFile)
    #expect(try site.json("config", "check").keys == ["path", "valid", "problems"])
    #expect(try site.json("wal", "gaps") == .array([]))
    #expect(try site.json("schedule", "next", "0 3 * * *", "--count", "2").array?.count == 2)
  }

  private func expectStatuses(_ site: BackupSite) throws {
    // On a machine that is busy something may be late for a moment.
    try Poll.until(.seconds(20), "a status without conditions", every: .milliseconds(500)) {
      try site.backupctl("status").status == .exited(0)
    }
    #expect(try site.backupctl("run", "nonesuch").status == .exited(1))
    #expect(try site.backupctl("show", "20000101T000000Z-aaaaaaaa").status == .exited(1))
    #expect(try site.backupctl("backups", "--cluster", "nonesuch").status == .exited(2))
    #expect(try site.backupctl("backups", "--nonesuch").status == .exited(2))
    #expect(
      try site.backupctl("restore", site.fresh("x"), "--cluster", "main", "--target-lsn", "x").status == .exited(2))
    #expect(try site.backupctl(["backups"], environment: ["BACKUPD_CONFIG": "/nonesuch"]).status == .exited(2))
  }

  private static let backup: Set = [
    "id", "cluster", "kind", "job", "started", "finished", "startLSN", "stopLSN", "timeline", "systemIdentifier",
    "sequence", "totalBytes", "newBytes", "storedBytes", "parent", "stores", "missingStores",
    "deleted", "database", "snapshot",
  ]
  private static let run: Set = [
    "run", "job", "kind", "cluster", "trigger", "due", "started", "finished", "outcome", "progress", "phases",
    "backup", "totalBytes", "newBytes", "storedBytes", "warnings", "error", "times", "attempts", "requests", "checks",
    "drill",
  ]
  private static let wal: Set = [
    "cluster", "systemIdentifier", "timeline", "slot", "state", "receivedLSN", "flushedLSN", "serverLSN", "lastMessage",
    "stores", "queuedSegments", "bytesPerSecond", "commitsWait", "losesNothing", "error",
  ]
}
