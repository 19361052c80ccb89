import FoundationEssentials
import TestSupport
import Testing

@Suite("A backup whose daemon was killed at 80 %", .serialized) struct ResumeTests {
  @Test("repeats at most 30 % of the work, the first one as any other") func resumes() throws {
    // Checkpoints are 16 MiB apart at least: of a smaller cluster they would not tell 80 % from 60.
    try InterruptedBackups.run(version: 15, sources: ["stream", "direct"], pages: 35_000, rate: "100MiB/s")
  }
}

@Suite("A backup whose daemon was killed at 80 %, Soak", .serialized, .enabled(if: Soak.isOn)) struct ResumeSoak {
  /// 2 GB.
  @Test(
    "repeats at most 30 % of the work, the first one as any other",
    arguments: [(15, ["stream", "direct", "stream"]), (18, ["direct", "stream", "direct"])])
  func resumes(version: Int, sources: [String]) throws {
    try InterruptedBackups.run(version: version, sources: sources, pages: 250_000, rate: "150MiB/s")
  }
}

private struct InterruptedBackups {
  let server: PostgresServer
  let site: BackupSite

  /// - Parameter sources: Of the first backup, and of each after it.
  static func run(version: Int, sources: [String], pages: Int, rate: String) throws {
    let table = PagedTable(pages: pages)
    var random = SeededGenerator(seed: Soak.seed)
    try PostgresServer.run(version: version, options: ["max_wal_size": "4GB"]) { server in
      try table.create(server)
      let change: (inout BackupSite.Options) -> Void = {
        $0.physical = ["source: auto", "rate: \(rate)", "retries: 0"]
        $0.clusterKeys = ["data-directory: \(server.dataDirectory)"]
      }
      try BackupSite.run(server, change: change) { site in
        let backups = InterruptedBackups(server: server, site: site)
        var changed = ChangedPages()
        for (number, source) in sources.enumerated() {
          if number > 0 { try table.change(pages / 5, server, using: &random) }
          try site.writeConfiguration(site.standardConfiguration.replacing("source: auto", with: "source: \(source)"))
          try backups.killAndResume(
            "backup \(number + 1), \(source)", changedPages: try changed.next(server).pages)
        }
        try backups.expectRestored()
      }
    }
  }

  private func killAndResume(_ what: String, changedPages: Int) throws {
    let before = try site.objects("backups")
    let at = try site.withDaemon { daemon in
      let run = try site.beginBackup()
      var share = 0.0
      try Poll.until(.seconds(120), "80 % of run \(run)") {
        let progress = try site.json("status")["running"][0]["progress"]
        guard progress["phase"].text == "copying", let done = progress["doneBytes"].number,
          let total = progress["totalBytes"].number
        else { return false }
        share = done / max(total, 1)
        return share >= 0.8
      }
      try daemon.kill()
      return share
    }
    try #require(at < 0.9, "the kill came late, at \(at) of \(what)")
    #expect(try site.objects("backups") == before && !(try site.objects("checkpoints").isEmpty))
    let packs = try site.packBytes()
    try site.withDaemon { _ in
      let backup = try site.json("show", try site.backup())
      let again = try #require(backup["pagesChanged"].integer)
      let stored = try site.packBytes() - packs
      Programs.note(
        "\(what): killed at \(Int(at * 100)) %, \(again) of \(changedPages) pages stored after, \(stored) bytes beside \(packs)"
      )
      #expect(Double(again) <= Double(changedPages) * 0.3)
      #expect(backup["warnings"] == .array([]))
      #expect(try site.objects("checkpoints").isEmpty)
      try site.expectSoundBackups(atLeast: 1)
    }
  }

  private func expectRestored() throws {
    let directory = try site.fresh("restored")
    try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
    try Program.succeed(server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres)
    try PostgresServer.startRestored(directory: directory, version: server.version) { copy in
      try copy.waitUntilPromoted()
      #expect(try PagedTable.digest(copy) == PagedTable.digest(server))
    }
  }
}

extension BackupSite {
  /// Bytes of all packs in the store.
  fileprivate func packBytes() throws -> Int {
    try objects("packs").reduce(0) { sum, pack in
      let parts = pack.split(separator: "/", maxSplits: 1)
      let path = "\(store)/clusters/\(Self.cluster)/\(parts[0])/packs/\(parts[1])"
      return try sum + (FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0)
    }
  }
}
