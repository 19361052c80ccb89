import TestSupport
import Testing

@Suite("The daemon", .serialized) struct DaemonTests {
  @Test("takes a backup and ships WAL") func backsUp() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try site.withDaemon { daemon in
          let id = try site.backup()
          #expect(try site.json("backups")[0]["id"].text == id)
          try site.waitUntilDurable(server)
          #expect(try daemon.stop().succeeded)
        }
      }
    }
  }
}
