import FoundationEssentials
import Glibc
import TestSupport
import Testing

@Suite("The programs' memory") struct MemoryTests {
  @Test("stays below 256 MiB in a backup and in a restore") func peak() throws {
    let memory = try Memory.measure(scale: 2)
    #expect(memory.peak < 256 << 20 && memory.restore < 256 << 20)
  }
}

@Suite("The programs' memory, at full size", .enabled(if: Soak.isOn)) struct MemorySoak {
  @Test("stays below 256 MiB in a backup and in a restore, and the daemon's below 40 MiB without one")
  func peakAndIdle() throws {
    let memory = try Memory.measure(scale: 140)
    #expect(memory.idle < 40 << 20 && memory.peak < 256 << 20 && memory.restore < 256 << 20)
  }
}

@Suite("Streaming for long, Soak", .enabled(if: Soak.isOn)) struct StreamingSoak {
  @Test("takes no more memory and no more descriptors at its end", arguments: ["an idle server", "a busy server"])
  func grows(of server: String) throws {
    let minutes = ChaosSoak.minutes
    try PostgresServer.run(options: ["max_wal_size": "4GB"]) { source in
      try source.pgbenchInitialize(scale: 10)
      try BackupSite.run(source) { site in
        try site.withDaemon { daemon in
          try site.backup()
          func stream() throws {
            // What is kept for reuse settles in the first tenth.
            let first = try Usage.most(daemon, during: .seconds(minutes * 6))
            _ = try Usage.most(daemon, during: .seconds(minutes * 48))
            let last = try Usage.most(daemon, during: .seconds(minutes * 6))
            Programs.note("\(server): \(first) at first, \(last) \(minutes) minutes later")
            #expect(last.memory <= first.memory + 4 << 20 && last.descriptors <= first.descriptors)
          }
          if server == "an idle server" { try stream() } else { try source.underLoad(clients: 2) { _ in try stream() } }
          #expect(daemon.isRunning)
        }
      }
    }
  }

  /// The most of each that was seen.
  private struct Usage: CustomStringConvertible {
    var memory = 0
    var descriptors = 0
    var description: String { "\(memory >> 10) KiB, \(descriptors) descriptors" }

    static func most(_ daemon: RunningDaemon, during time: Duration) throws -> Usage {
      var usage = Usage()
      let end = ContinuousClock.now + time
      while ContinuousClock.now < end {
        usage.memory = max(usage.memory, try daemon.memory("VmRSS"))
        usage.descriptors = max(
          usage.descriptors, try FileManager.default.contentsOfDirectory(atPath: "/proc/\(daemon.pid)/fd").count)
        sleep(1)
      }
      return usage
    }
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
  /// - Returns: The most memory that it held.
  func restoreMeasured(to directory: String) throws -> Int {
    try measured(["restore", directory, "--cluster", Self.cluster])
  }
}
