import FoundationEssentials
import Glibc
import TestSupport
import Testing

extension RunningDaemon {
  /// Open descriptors.
  func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count }

  /// Seconds of CPU used so far, of all threads.
  func processorSeconds() throws -> Double {
    let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
    // The name, in parentheses, may hold anything; user and system time are the 14th and 15th field.
    let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
    guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
      throw EndToEndError.unexpected("\"/proc/\(pid)/stat\" has another form")
    }
    return (user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
  }
}

extension BackupSite {
  /// The standard configuration and so many jobs more, none of them due soon.
  func configuration(withJobs count: Int) -> String {
    standardConfiguration
      + (0..<count).map { "  more-\($0): {kind: physical, cluster: main, schedule: \"\($0 % 60) 4 29 2 *\"}\n" }
      .joined()
  }
}

@Suite("Signals to reload", .serialized) struct ReloadSignalTests {
  @Test("while a backup runs lose nothing and leave nothing behind")
  func some() throws { try Self.signals(300, scale: 5) }

  static func signals(_ count: Int, scale: Int) throws {
    try PostgresServer.run { server in
      try server.pgbenchInitialize(scale: scale)
      try BackupSite.run(server, change: { $0.physical = ["rate: 20MiB/s"] }) { site in
        try site.withDaemon { daemon in
          try site.waitUntilDurable(server)
          let before = (try daemon.descriptors(), try daemon.memory("VmRSS"))
          let run = try site.json("run", "physical", "--no-wait")["run"].text
          for number in 1...count {
            // Every other file is another one; some are wrong.
            let text = site.configuration(withJobs: number % 2 * 20) + (number % 10 == 3 ? "nonsense: 1\n" : "")
            try text.write(toFile: site.configuration, atomically: true, encoding: .utf8)
            daemon.program.signal(SIGHUP)
            usleep(1000)
          }
          try site.writeConfiguration(site.configuration(withJobs: 3))
          #expect(try site.backupctl("reload").succeeded)
          #expect(try site.json("jobs").array?.count == 5)
          try Poll.until(.seconds(300), "the run's end") { try site.json("runs", "physical")[0]["outcome"].text != nil }
          let runs = try site.json("runs", "physical")
          #expect(runs.array?.count == 1 && runs[0]["run"].text == run && runs[0]["outcome"].text == "succeeded")
          #expect(
            daemon.log.components(separatedBy: "WAL streaming begins").count == 2, "the receiver was not disturbed")
          let memory = try daemon.memory("VmRSS")
          // The lanes of a backup keep nothing open; what WAL and a question of the monitor have open they close again.
          try Poll.until(.seconds(30), "at most \(before.0 + 2) descriptors", every: .milliseconds(100)) {
            try daemon.descriptors() <= before.0 + 2
          }
          Programs.note("\(count) signals: RSS \(before.1 >> 10) to \(memory >> 10) KiB")
          try site.succeed("verify", "--full")
        }
      }
    }
  }
}

@Suite("A daemon with 1,000 jobs, at full size", .enabled(if: Soak.isOn)) struct ManyJobsSoak {
  @Test("is idle: below 0.2 % of a core and 40 MiB")
  func idle() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try site.writeConfiguration(site.configuration(withJobs: 1000))
        try site.withDaemon { daemon in
          try site.waitUntilDurable(server)
          sleep(5)
          let begin = (try daemon.processorSeconds(), ContinuousClock.now)
          sleep(120)
          let used = try daemon.processorSeconds() - begin.0
          let passed = ContinuousClock.now - begin.1
          let memory = try daemon.memory("VmRSS")
          let share = used / (Double(passed.components.seconds))
          Programs.note("1,000 jobs: \(share * 100) % of a core, \(memory >> 10) KiB")
          #expect(share < 0.002 && memory < 40 << 20)
        }
      }
    }
  }

  @Test("takes 10,000 signals to reload") func signals() throws { try ReloadSignalTests.signals(10_000, scale: 60) }
}
