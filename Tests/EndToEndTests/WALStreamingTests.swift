import BackupModel
import FoundationEssentials
import TestSupport
import Testing

@Suite("WAL streaming") struct WALStreamingTests {
  @Test("ships the open segment in slices and goes on without a gap after the daemon was down")
  func survivesRestart() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        try site.withDaemon { daemon in
          try Numbers.add(1, server)
          try site.backup()
          try Numbers.add(2, server)
          try site.waitUntilDurable(server)
          #expect(try slices(site) != [], "the segment has not been filled, so it is slices that the store holds")
          let status = try site.json("wal", "status")[0]
          #expect(
            status["state"].text == "streaming" && status["error"].isNull && status["queuedSegments"].integer == 0)
          try daemon.stop()
        }
        try fillSegments(server)
        try site.withDaemon { daemon in
          try Numbers.add(3, server)
          try site.waitUntilDurable(server)
          try daemon.kill()
        }
        try fillSegments(server)
        try site.withDaemon { _ in
          try Numbers.add(4, server)
          try site.waitUntilDurable(server)
          try expectOneRun(site, server)
        }
        let directory = try site.fresh("restored")
        try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
        try PostgresServer.startRestored(directory: directory) { copy in
          try copy.waitUntilPromoted()
          #expect(try Numbers.all(copy) == [1, 2, 3, 4])
        }
      }
    }
  }

  /// Two segments' worth of WAL, which the server will recycle as soon as it may.
  private func fillSegments(_ server: PostgresServer) throws {
    for _ in 0..<2 { try server.psql("select pg_switch_wal(), txid_current()") }
    try server.psql("checkpoint")
  }

  private func slices(_ site: BackupSite) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: site.store).filter { $0.contains(".partial/") }
  }

  /// The WAL in the repository is one stretch from before the backup to what the server has written.
  private func expectOneRun(_ site: BackupSite, _ server: PostgresServer) throws {
    #expect(try site.json("wal", "gaps") == .array([]))
    let runs = try #require(try site.json("wal", "list").array)
    #expect(runs.count == 1)
    let backup = try site.json("backups")[0]
    let from = try LSN(try #require(runs[0]["fromLSN"].text))
    let to = try LSN(try #require(runs[0]["toLSN"].text))
    let start = try LSN(try #require(backup["startLSN"].text))
    let written = try LSN(try server.psql("select pg_current_wal_flush_lsn()"))
    #expect(from <= start && to >= written)
    #expect(runs[0]["timeline"].integer == 1 && runs[0]["stores"] == .array([.text("local")]))
  }
}
