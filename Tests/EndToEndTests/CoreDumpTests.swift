import Foundation
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

  /// The kernel writes them as "core" in the directory of the process, unless somebody else is to get them, or nobody.
  private static let leavesCoresHere = {
    let pattern = try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)
    let isAllowed = (try? Program.run("/bin/sh", ["-c", "ulimit -c unlimited"]).succeeded) == true
    return pattern?.hasPrefix("core") == true && isAllowed
  }()

  @Test(
    "is in no core dump when it crashes, unless it is to be debugged",
    .enabled(if: ProgramUser.canSwitch && leavesCoresHere))
  func crash() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        func leavesCore(_ environment: [String: String]) throws -> Bool {
          let directory = try site.fresh("crash-\(environment.count)")
          try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
          try ProgramUser.postgres.own(directory)
          let wrapper = ["/bin/sh", "-c", "ulimit -c unlimited && cd \(directory) && exec \"$@\"", "sh"]
          // The unit sets it, too: Swift would look at its own memory for minutes.
          let all = environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
          try site.withDaemon(environment: all, wrapper: wrapper) { daemon in
            daemon.program.signal(SIGSEGV)
            try daemon.program.waitForExit(deadline: .seconds(60))
          }
          return try FileManager.default.contentsOfDirectory(atPath: directory).contains { $0.hasPrefix("core") }
        }
        let (usual, debugged) = (try leavesCore([:]), try leavesCore(["BACKUPD_DUMPABLE": "1"]))
        #expect(!usual && debugged)
      }
    }
  }
}
