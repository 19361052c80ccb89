import Glibc
import TestSupport
import Testing

/// `backupctl` as a person sees it: on a terminal, with a daemon that comes and goes.
@Suite("backupctl on a terminal", .serialized) struct TerminalTests {
  private static let secondScreen = "\u{1B}[?1049h"
  private static let firstScreen = "\u{1B}[?1049l"

  @Test("status --watch outlives the daemon, and gives the screen back on Ctrl-C") func watch() throws {
    try withSite { site in
      try watching(site) { watch in
        try watch.wait(for: "the missing daemon") { $0.screen.contains("NO ANSWER the daemon is not running") }
        #expect(watch.screen.contains("It has not answered yet.") && watch.screen.contains("systemctl start backupd"))
        try site.withDaemon { _ in
          try watch.wait(for: "the status") { $0.screen.contains("recoverable  nothing yet") }
          #expect(!watch.screen.contains("NO ANSWER"))
        }
        try watch.wait(for: "the daemon's end") { $0.screen.contains("NO ANSWER") }
        // What is known stays in sight.
        #expect(watch.screen.contains("Its last answer was") && watch.screen.contains("recoverable  nothing yet"))
        // Ctrl-Z: the shell gets its screen, and fg the status again.
        watch.type("\u{1A}")
        try watch.wait(for: "the first screen") { $0.output.hasSuffix(Self.firstScreen) }
        watch.signal(SIGCONT)
        try watch.wait(for: "the second screen") { $0.output.components(separatedBy: Self.secondScreen).count == 3 }
        watch.type("\u{3}")
        #expect(try watch.waitForExit() == .exited(0))
        #expect(watch.output.contains(Self.secondScreen) && watch.output.hasSuffix(Self.firstScreen))
      }
    }
  }

  @Test("status --watch gives the screen back on an error that will not pass", .enabled(if: ProgramUser.canSwitch))
  func refused() throws {
    try withSite { site in
      try site.withDaemon { _ in
        try Program.succeed("chmod", ["600", site.socket])
        try watching(site, as: .nobody) { watch in
          let status = try watch.waitForExit()
          #expect(status == .exited(1))
          let after = watch.output.components(separatedBy: Self.firstScreen).last ?? ""
          #expect(after.contains("backupctl: not permitted to talk to the daemon"))
        }
      }
    }
  }

  @Test("status --watch writes blocks with their time where there is no terminal") func blocks() throws {
    try withSite { site in
      try Program.running(
        site.program("backupctl"), ["status", "--watch"], environment: ["BACKUPD_CONFIG": site.configuration],
        as: .postgres
      ) { watch in
        try watch.waitForOutput(containing: "NO ANSWER the daemon is not running")
        try site.withDaemon { _ in try watch.waitForOutput(containing: "recoverable  nothing yet") }
        watch.signal(SIGINT)
        let result = try watch.waitForExit()
        #expect(result.succeeded && !result.standardOutput.contains("\u{1B}"))
        let stamp = #/^--- \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/#
        let lines = result.standardOutput.split(separator: "\n")
        #expect(lines.count { $0.firstMatch(of: stamp) != nil } >= 2)
      }
    }
  }

  @Test("tables fit, colours are for terminals that want them") func tables() throws {
    try withSite { site in
      try site.withDaemon { _ in
        let jobs = try shown(site, "jobs")
        #expect(jobs.contains("\u{1B}[1mJOB"))
        #expect(try !shown(site, "jobs", ["NO_COLOR": "1"]).contains("\u{1B}"))
        #expect(try !shown(site, "jobs", ["TERM": "dumb"]).contains("\u{1B}"))
        #expect(try !site.succeed("jobs").contains("\u{1B}"))
        let plain = ["NO_COLOR": "1"]
        #expect(try heading(shown(site, "jobs", plain, columns: 28)) == ["JOB", "NEXT", "RUN", "OUTCOME"])
        #expect(try heading(shown(site, "jobs", plain, columns: 200)).contains("SCHEDULE"))
        // COLUMNS is what the operator wants, on a terminal; what is not shown to a person is not cut.
        #expect(
          try heading(shown(site, "jobs", ["NO_COLOR": "1", "COLUMNS": "28"], columns: 200))
            == ["JOB", "NEXT", "RUN", "OUTCOME"])
        #expect(
          try heading(site.backupctl(["jobs"], environment: ["COLUMNS": "28"]).standardOutput).contains("SCHEDULE"))
      }
    }
  }

  @Test("status of four clusters fits a screen, and leads with recoverability and objectives, also when all is wrong")
  func fourClusters() throws {
    let names = ["oauth", "billing", "sessions", "reporting"]
    try PostgresServer.run { server in
      try BackupSite.run(server, creating: false) { site in
        try site.writeConfiguration(Self.configuration(site, names))
        try site.succeed("repository", "create")
        try site.withDaemon { _ in
          for name in names { try site.succeed("run", name + "-nightly") }
          try Poll.until(.seconds(90), "objectives met", every: .milliseconds(500)) {
            let tiers = try site.json("status")["tiers"].array ?? []
            return tiers.count == 8 && tiers.allSatisfy { $0["rpoState"].text == "met" }
          }
          try expectScreen(site, names, exit: 0)
          try server.stop(.immediate)
          try Poll.until(.seconds(60), "all servers missed", every: .milliseconds(200)) {
            try site.json("status")["conditions"].array?.count ?? 0 >= names.count
          }
          let screen = try expectScreen(site, names, exit: 3)
          #expect(screen.contains { $0.hasPrefix("CRITICAL the server of cluster") })
        }
      }
    }
  }

  /// Four clusters, to each of which the same server stands, with two tiers and three jobs each.
  private static func configuration(_ site: BackupSite, _ names: [String]) -> String {
    func lines(_ line: (String) -> String) -> String { names.map { line($0) + "\n" }.joined() }
    return """
      daemon: {state-directory: \(site.state), socket: \(site.socket)}
      repository: {encryption: {key-file: \(site.keyFile)}, stores: {local: {path: \(site.store)}}}
      monitoring: {interval: 1s}
      clusters:
      \(lines { "  \($0): {connection: \"\(site.options.connection)\"}" })
      jobs:
      \(lines { "  \($0)-wal: {kind: wal, cluster: \($0), partial-interval: 1s}" })
      \(lines { "  \($0)-nightly: {kind: physical, cluster: \($0), schedule: \"\(FarSchedule.daily)\"}" })
      \(lines { "  \($0)-weekly: {kind: physical, cluster: \($0), schedule: \"\(FarSchedule.daily.dropLast())0\", full: true}" })
      tiers:
      \(lines { "  \($0)-tokens: {cluster: \($0), rpo: 5m, rto: 15m}" })
      \(lines { "  \($0)-audit: {cluster: \($0), rpo: 1h, rto: 4h}" })
      """
  }

  @discardableResult
  private func expectScreen(_ site: BackupSite, _ names: [String], exit status: Int32) throws -> [String] {
    let text = try shown(site, "status", ["NO_COLOR": "1"], exit: status)
    let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map(String.init)
    // The last is what follows the last line's end: where the shell's prompt will be.
    #expect(lines.count <= 24 && lines.allSatisfy { $0.count <= 80 }, "\(text)")
    for (number, name) in names.enumerated() {
      let first = lines.indices.contains(number * 2) ? lines[number * 2] : ""
      #expect(first.hasPrefix("\(name)  recoverable to ") && first.hasSuffix(", from local"), "\(text)")
      #expect(lines[number * 2 + 1].hasPrefix("  \(name)-") && lines[number * 2 + 1].contains(" RPO "), "\(text)")
    }
    return lines
  }

  private func withSite(_ body: (BackupSite) throws -> Void) throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, change: { $0.streamsWAL = false }, body)
    }
  }

  private func watching(
    _ site: BackupSite, as user: ProgramUser = .postgres, _ body: (TerminalProgram) throws -> Void
  ) throws {
    try TerminalProgram.run(
      site.program("backupctl"), ["status", "--watch"], environment: ["BACKUPD_CONFIG": site.configuration], as: user,
      body)
  }

  private func shown(
    _ site: BackupSite, _ command: String, _ environment: [String: String] = [:], columns: Int = 80,
    exit expected: Int32 = 0
  ) throws -> String {
    try TerminalProgram.run(
      site.program("backupctl"), [command],
      environment: ["BACKUPD_CONFIG": site.configuration].merging(environment) { $1 }, columns: columns, as: .postgres
    ) { program in
      let status = try program.waitForExit()
      #expect(status == .exited(expected))
      return program.output
    }
  }

  private func heading(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).first?.split(separator: " ").map(String.init) ?? []
  }
}
