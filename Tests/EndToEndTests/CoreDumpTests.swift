import TestSupport
import Testing

@Suite("The daemon's memory", .serialized) struct CoreDumpTests {
  @Test(
    "cannot be looked into by other processes of its user, unless it is to be debugged",
    .enabled(if: ProgramUser.canSwitch))
  func dumpable() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.encryption = "none" }) { site in
        func isReadable(_ daemon: RunningDaemon) throws -> Bool {
          try Program.run("/bin/cat", ["/proc/\(daemon.pid)/environ"], as: .postgres).succeeded
        }
        let usual = try site.withDaemon { try isReadable($0) }
        let debugged = try site.withDaemon(environment: ["BACKUPD_DUMPABLE": "1"]) { try isReadable($0) }
        #expect(!usual && debugged)
      }
    }
  }
}
