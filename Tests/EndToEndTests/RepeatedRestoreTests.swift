import TestSupport
import Testing

@Suite("Restores of one backup") struct RepeatedRestoreTests {
  @Test("that are promoted and written to leave the repository as it is")
  func leaveRepositoryAlone() throws {
    let archiving = ["archive_mode": "on", "archive_command": "/bin/true"]
    try BackupSite.runBackedUp(options: archiving) { server, site in
      let before = try site.storedObjects()
      let end = try Numbers.all(server)
      for name in ["first", "second"] {
        try restored(site, name, holding: end) { copy in
          #expect(try copy.psql("show archive_command") == "/bin/false")
          try Numbers.add(100, copy)
          try copy.psql("select pg_switch_wal(); checkpoint")
        }
      }
      #expect(try site.storedObjects() == before)
      try restored(site, "third", holding: end)

      // The original goes on as if nothing had been, and stays restorable to its end.
      try site.withDaemon { _ in
        try Numbers.add(4, server)
        try site.waitUntilDurable(server)
        #expect(try site.json("wal", "gaps") == .array([]))
      }
      try restored(site, "fourth", holding: end + [4])
    }
  }

  private func restored(
    _ site: BackupSite, _ name: String, holding numbers: [Int], _ body: (PostgresServer) throws -> Void = { _ in }
  ) throws {
    let directory = try site.fresh(name)
    try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
    try PostgresServer.startRestored(directory: directory) { copy in
      try copy.waitUntilPromoted()
      #expect(try Numbers.all(copy) == numbers)
      try body(copy)
    }
  }
}
