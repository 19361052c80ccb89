import Glibc
import TestSupport
import Testing

@Suite("The programs' memory") struct MemoryTests {
  @Test("stays below 256 MiB in a backup and in a restore") func peak() throws {
    let memory = try Memory.measure(scale: 2)
    #expect(memory.peak < 256 << 20 && memory.restore < 256 << 20)
  }
}

@Suite("The programs' memory, at full size", .enabled(if: Programs.isSoak)) struct MemorySoak {
  @Test("stays below 256 MiB in a backup and in a restore, and the daemon's below 40 MiB without one")
  func peakAndIdle() throws {
    let memory = try Memory.measure(scale: 140)
    #expect(memory.idle < 40 << 20 && memory.peak < 256 << 20 && memory.restore < 256 << 20)
  }
}

/// In bytes.
private struct Memory {
  /// The daemon's, while it streams WAL and nothing else.
  var idle: Int
  /// The most it ever held, after a backup.
  var peak: Int
  /// The most that `backupctl restore` held.
  var restore: Int

  static func measure(scale: Int) throws -> Memory {
    try PostgresServer.run { server in
      try server.pgbenchInitialize(scale: scale)
      return try BackupSite.run(server) { site in
        try site.withDaemon { daemon in
          try site.waitUntilDurable(server)
          let idle = try daemon.memory("VmRSS")
          try site.backup()
          let after = try daemon.memory("VmRSS")
          let peak = try daemon.memory("VmHWM")
          Programs.note(
            "the daemon holds \(idle >> 10) KiB idle, \(after >> 10) KiB after a backup, \(peak >> 10) KiB at most")
          let restore = try site.restoreMeasured(to: try site.fresh("restored"))
          Programs.note("a restore holds \(restore >> 10) KiB at most")
          return Memory(idle: idle, peak: peak, restore: restore)
        }
      }
    }
  }
}

extension BackupSite {
  /// Restores the newest backup.
  /// - Returns: The most memory `backupctl` held, as far as can be seen from outside: looked at every few milliseconds.
  func restoreMeasured(to directory: String) throws -> Int {
    try Program.running(
      program("backupctl"), ["restore", directory, "--cluster", Self.cluster],
      environment: ["BACKUPD_CONFIG": configuration], as: .postgres
    ) { program in
      var peak = 0
      while program.ended == nil {
        // Between its end and the next look there is nothing to read any more.
        if let now = try? RunningDaemon(program: program).memory("VmHWM") { peak = max(peak, now) }
        usleep(2000)
      }
      guard program.ended == .exited(0) else { throw EndToEndError.unexpected(program.standardError) }
      return peak
    }
  }
}
