import BackupModel
import FoundationEssentials
import TestSupport
import Testing

@Suite("A server that refuses", .serialized) struct BadInputServerTests {
  /// Each way a run can be refused: the connection to use, the settings to restart with, and the words to look for.
  private struct Refusal {
    var connection: String
    var password: String?
    var settings: [String: String] = [:]
    var words: [String]
    /// Whether WAL streams all the same: the only sender is the WAL job's.
    var streams = false
  }

  @Test("fails the run with what to do about it; nothing is written") func refusals() throws {
    try PostgresServer.run { server in
      try server.psql("create role unfit login")
      let tcp = "host=127.0.0.1 port=\(server.port) user=postgres dbname=postgres"
      let away = tcp.replacing("port=\(server.port)", with: "port=\(try FreePort.find())")
      let refusals = [
        Refusal(connection: server.connection.replacing("user=postgres", with: "user=unfit"), words: ["REPLICATION"]),
        Refusal(connection: tcp, password: "wrong", words: ["password authentication failed"]),
        Refusal(connection: away, password: PostgresServer.password, words: ["Connection refused"]),
        Refusal(
          connection: server.connection, settings: ["wal_level": "minimal", "max_wal_senders": "0"],
          words: ["wal_level", "replica"]),
        Refusal(connection: server.connection, settings: ["max_wal_senders": "0"], words: ["max_wal_senders"]),
        Refusal(
          connection: server.connection, settings: ["max_wal_senders": "1"], words: ["max_wal_senders"], streams: true),
      ]
      try BackupSite.run(server, change: { $0.physical = ["retries: 0"] }) { site in
        for refusal in refusals { try expect(refusal, site, server) }
        #expect(try site.objects("packs") == [] && site.objects("backups") == [])
        try server.restart()
        try site.writeConfiguration(site.standardConfiguration)
        try site.withDaemon { _ in _ = try site.backup() }
      }
    }
  }

  private func expect(_ refusal: Refusal, _ site: BackupSite, _ server: PostgresServer) throws {
    if !refusal.settings.isEmpty { try server.restart(options: refusal.settings) }
    var cluster = "\"\(refusal.connection)\""
    if let password = refusal.password {
      let path = site.directory + "/password"
      try password.write(toFile: path, atomically: false, encoding: .utf8)
      try Program.succeed("chmod", ["600", path])
      try ProgramUser.postgres.own(path)
      cluster += ", password: {file: \(path)}"
    }
    try site.writeConfiguration(
      site.standardConfiguration.replacing("\"\(site.options.connection)\"", with: cluster))
    try site.withDaemon { daemon in
      if refusal.streams { try site.waitUntilDurable(server) }
      let result = try site.backupctl("run", "physical")
      #expect(result.status == .exited(1), "\(refusal.words)")
      let error = try #require(try site.runs.last)["error"]
      site.expectThreeParts(error)
      for word in refusal.words { #expect("\(error)".contains(word), "\(word) in \(error)") }
      #expect(!"\(error)".contains(PostgresServer.password))
      if refusal.streams { return }
      // The WAL job tells the same, and keeps trying.
      try Poll.until(.seconds(30), "the WAL job's error", every: .milliseconds(100)) {
        try site.json("wal", "status")[0]["error"]["summary"].text != nil
      }
      #expect(!daemon.log.contains(PostgresServer.password))
      #expect(daemon.isRunning)
    }
  }
}
