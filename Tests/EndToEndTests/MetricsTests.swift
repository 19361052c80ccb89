import FoundationEssentials
import Glibc
import TestSupport
import Testing

/// Metrics of the real daemon, checked by Prometheus' own tool.
@Suite("Metrics", .serialized) struct MetricsTests {
  @Test("pass promtool, hold what the alert rules ask for, and are written whole for everybody to read")
  func real() throws {
    try PostgresServer.run { server in
      try Numbers.create(server)
      try BackupSite.run(server) { site in
        let file = site.directory + "/backupd.prom"
        let socket = site.directory + "/metrics.sock"
        try site.writeConfiguration(
          site.standardConfiguration
            + """
            tiers: {tokens: {cluster: main, rpo: 1h, rto: 1h}}
            metrics: {textfile: \(file), every: 5s, listen: "unix:\(socket)"}

            """)
        try site.withDaemon { _ in
          try site.backup()
          try site.waitUntilDurable(server)
          try expectMetrics(site)
          try expectTextFile(file)
          let page = try Program.succeed("curl", ["-sS", "--unix-socket", socket, "http://localhost/metrics"])
          try Promtool.check(metrics: page)
          #expect(page.contains("backupd_up 1\n"))
          try expectMoved(site, from: socket)
        }
        #expect(!FileManager.default.fileExists(atPath: socket))
      }
    }
  }

  @Test("of alert rules pass promtool's tests, and ask for nothing that is not declared") func rules() throws {
    let directory = Programs.source + "/etc/prometheus"
    try Program.succeed(Promtool.path(), ["check", "rules", directory + "/backupd.rules.yml"])
    try Program.succeed(Promtool.path(), ["test", "rules", directory + "/backupd.rules.test.yml"])
    let reference = try String(contentsOfFile: Programs.source + "/docs/reference/metrics.md", encoding: .utf8)
    for name in try Self.namesInRules() {
      #expect(reference.contains("| `\(name)` |"), "\(name)")
    }
  }

  /// A reload closes one address and opens the next.
  private func expectMoved(_ site: BackupSite, from socket: String) throws {
    let next = site.directory + "/next.sock"
    let text = try String(contentsOfFile: site.configuration, encoding: .utf8)
    try site.writeConfiguration(text.replacing(socket, with: next))
    let answer = try site.succeed("reload")
    #expect(answer.contains("metrics: listen changed from \"unix:\(socket)\" to \"unix:\(next)\""), "\(answer)")
    try Poll.until(.seconds(30), "the next address") { FileManager.default.fileExists(atPath: next) }
    #expect(!FileManager.default.fileExists(atPath: socket))
    let page = try Program.succeed("curl", ["-sS", "--unix-socket", next, "http://localhost/metrics"])
    #expect(page.contains("backupd_up 1\n"))
    try site.writeConfiguration(text.replacing(", listen: \"unix:\(socket)\"", with: ""))
    try site.succeed("reload")
    try Poll.until(.seconds(30), "the listener's end") { !FileManager.default.fileExists(atPath: next) }
  }

  private func expectMetrics(_ site: BackupSite) throws {
    var text = ""
    try Poll.until(.seconds(60), "the first look at objectives", every: .milliseconds(500)) {
      text = try site.succeed("metrics")
      return text.contains("backupd_tier_rpo_seconds{cluster=\"main\",tier=\"tokens\"} ") && !text.contains("} +Inf")
    }
    try Promtool.check(metrics: text)
    for line in [
      "backupd_tier_rpo_objective_seconds{cluster=\"main\",tier=\"tokens\"} 3600",
      "backupd_backups{cluster=\"main\",backup_job=\"physical\",kind=\"physical\"} 1",
      "backupd_runs_total{backup_job=\"physical\",kind=\"physical\",outcome=\"succeeded\"} 1",
      "backupd_store_up{store=\"local\"} 1", "backupd_wal_receiving{cluster=\"main\"} 1",
      "backupd_conditions{severity=\"critical\"} 0",
      "backupd_job_running{cluster=\"main\",backup_job=\"physical\",kind=\"physical\"} 0",
    ] { #expect(text.contains(line + "\n"), "\(line) in \(text)") }
    let age = try #require(text.split(separator: "\n").first { $0.hasPrefix("backupd_recovery_point_age_seconds{") })
    #expect(age.split(separator: " ").last.flatMap { Double($0) }.map { $0 < 60 } == true, "\(age)")
    // Those that are there in any case; the others appear with what they speak of.
    let conditional: Set = [
      "backupd_tier_rpo_breach_seconds", "backupd_tier_rto_seconds", "backupd_store_lag_seconds",
    ]
    for name in try Self.namesInRules() where !conditional.contains(name) {
      #expect(text.contains("\n\(name)") || text.hasPrefix(name), "\(name) in \(text)")
    }
  }

  /// Read again and again while it is rewritten: each time it is whole.
  private func expectTextFile(_ path: String) throws {
    var contents: Set<String> = []
    try Poll.until(.seconds(60), "three versions of \(path)") {
      guard FileManager.default.fileExists(atPath: path) else { return false }
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.hasPrefix("# HELP backupd_up ") && text.hasSuffix("\n") && text.contains("backupd_conditions{"))
      contents.insert(text)
      return contents.count >= 3
    }
    try Promtool.check(metrics: try #require(contents.first))
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o644)
  }

  private static func namesInRules() throws -> Set<String> {
    let text = try String(contentsOfFile: Programs.source + "/etc/prometheus/backupd.rules.yml", encoding: .utf8)
    let expressions = text.split(separator: "\n").filter { $0.contains("expr:") }
    let names = Set(expressions.flatMap { $0.matches(of: #/backupd_[a-z_]+/#) }.map { String($0.output) })
    #expect(names.count > 10)
    return names
  }
}

/// Prometheus' own checks.
private enum Promtool {
  static func path() throws -> String {
    guard let path = ProcessInfo.processInfo.environment["BACKUPD_TEST_PROMTOOL"] else {
      throw EndToEndError.unexpected("BACKUPD_TEST_PROMTOOL is not set: run scripts/test.sh")
    }
    return path
  }

  /// Names, units, types and form: promtool says nothing where all is well.
  static func check(metrics text: String) throws {
    let result = try Program.run(path(), ["check", "metrics"], input: text)
    #expect(result.succeeded && result.standardOutput + result.standardError == "", "\(result)")
  }
}
