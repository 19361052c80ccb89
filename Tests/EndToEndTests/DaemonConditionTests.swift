import Foundation
import Glibc
import TestSupport
import Testing

@Suite("What is wrong with the daemon's own parts is told once, and its end once", .serialized)
struct DaemonConditionTests {
  @Test(
    "a file that a reload refuses, metrics that cannot be written or served, calls of the heartbeat, and a run that fails"
  ) func own()
    throws
  {
    try PostgresServer.run { server in
      let change: (inout BackupSite.Options) -> Void = {
        $0.streamsWAL = false
        $0.physical = ["retries: 0"]
      }
      try ConditionSite.run(server, change: change) { conditions in
        let good = try String(contentsOfFile: conditions.site.configuration, encoding: .utf8)
        try expectRefused(conditions, good)
        try expectMetrics(conditions, good)
        try expectHeartbeat(conditions, good)
        try expectFailedRun(conditions)
        try expectForgotten(conditions, good)
      }
    }
  }

  private func expectRefused(_ conditions: ConditionSite, _ good: String) throws {
    try signal(conditions, good + "nonsense: 1\n")
    let text = try conditions.expectRaised("configuration", severity: "warning")
    #expect(text.contains("nonsense"), "\(text)")
    try signal(conditions, good)
    try conditions.expectResolved("configuration")
  }

  private func signal(_ conditions: ConditionSite, _ configuration: String) throws {
    try conditions.site.writeConfiguration(configuration)
    conditions.daemon.program.signal(SIGHUP)
  }

  private func expectMetrics(_ conditions: ConditionSite, _ good: String) throws {
    let (file, listener, before) = ("metrics-textfile", "metrics-listener", ["configuration"])
    let site = conditions.site
    let directory = site.directory + "/metrics"
    func configure(port: String) throws {
      let keys = "textfile: \(directory)/backupd.prom, every: 5s, listen: \"127.0.0.1:\(port)\""
      try site.writeConfiguration(good + "metrics: {\(keys)}\n")
      try site.succeed("reload")
    }
    // The directory is not there, and the port is another program's.
    try configure(port: String(conditions.channels.web.url.split(separator: ":")[2]))
    try conditions.expectRaised(file, severity: "warning", besides: before + [listener])
    try conditions.expectRaised(listener, severity: "warning", besides: before + [file])
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    try ProgramUser.postgres.own(directory)
    let port = try FreePort.find()
    try configure(port: "\(port)")
    try conditions.expectResolved(listener, besides: before + [file])
    try conditions.expectResolved(file, besides: before + [listener])
    #expect(try Program.succeed("curl", ["-sS", "http://127.0.0.1:\(port)/metrics"]).contains("backupd_up 1\n"))
  }

  /// Whoever waits for the daemon's calls is not there, and then is.
  private func expectHeartbeat(_ conditions: ConditionSite, _ good: String) throws {
    let before = ["configuration", "metrics-"]
    func configure(_ address: String) throws {
      try conditions.site.writeConfiguration(good + "heartbeat: {url: \"\(address)/alive\", every: 1s}\n")
      try conditions.site.succeed("reload")
    }
    try configure("http://127.0.0.1:\(FreePort.find())")
    let text = try conditions.expectRaised("heartbeat", severity: "warning", besides: before)
    #expect(text.contains("does not get out"), "\(text)")
    try configure(conditions.channels.web.url)
    try conditions.expectResolved("heartbeat", besides: before)
  }

  private func expectFailedRun(_ conditions: ConditionSite) throws {
    let before = ["configuration", "metrics-", "heartbeat"]
    let site = conditions.site
    try Program.succeed("chmod", ["-R", "a-w", site.store])
    defer { _ = try? Program.run("chmod", ["-R", "u+w", site.store]) }
    #expect(try site.backupctl("run", "physical").status == .exited(1))
    let text = try conditions.expectRaised("job:physical", severity: "critical", besides: before)
    #expect(text.contains("Permission denied"), "\(text)")
    try Program.succeed("chmod", ["-R", "u+w", site.store])
    try site.backup()
    try conditions.expectResolved("job:physical", besides: before)
  }

  /// A file that was refused, and mended before the next start.
  private func expectForgotten(_ conditions: ConditionSite, _ good: String) throws {
    try signal(conditions, good + "nonsense: 1\n")
    try Poll.until(.seconds(30), "the refusal", every: .milliseconds(100)) {
      try conditions.raised() == ["configuration"]
    }
    try conditions.daemon.stop()
    try conditions.site.writeConfiguration(good)
    try ConditionSite.run(conditions.channels) { again in
      let raised = try again.raised()
      #expect(raised == [])
    }
  }
}
