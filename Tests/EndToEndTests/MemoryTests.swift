import TestSupport
import Testing

@Suite("The daemon's memory") struct MemoryTests {
  @Test("stays below 256 MiB in a backup") func peak() throws {
    #expect(try DaemonMemory.measure(scale: 2).peak < 256 << 20)
  }
}

@Suite("The daemon's memory, at full size", .enabled(if: Programs.isSoak)) struct MemorySoak {
  @Test("stays below 256 MiB in a backup, and below 40 MiB without one") func peakAndIdle() throws {
    let memory = try DaemonMemory.measure(scale: 140)
    #expect(memory.idle < 40 << 20 && memory.peak < 256 << 20)
  }
}

/// In bytes.
private struct DaemonMemory {
  /// While it streams WAL and nothing else.
  var idle: Int
  /// The most it ever held, after a backup.
  var peak: Int

  static func measure(scale: Int) throws -> DaemonMemory {
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
          return DaemonMemory(idle: idle, peak: peak)
        }
      }
    }
  }
}
