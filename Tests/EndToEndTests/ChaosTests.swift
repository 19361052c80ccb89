import BackupModel
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("WAL in chaos", .serialized, .enabled(if: !TemporaryDisk.isVolatile, "needs a disk for temporary files"))
struct ChaosTests {
  @Test("loses no commit and leaves no gap") func short() throws { try Chaos.run(version: 15, rounds: 3) }
}

@Suite("WAL in chaos, Soak", .serialized, .enabled(if: Programs.isSoak)) struct ChaosSoak {
  /// Minutes, by `SOAK_MINUTES`.
  static let minutes = ProcessInfo.processInfo.environment["SOAK_MINUTES"].flatMap { Int($0) } ?? 30

  @Test("loses no commit and leaves no gap", arguments: [15, 18]) func long(version: Int) throws {
    try Chaos.run(version: version, rounds: .max, deadline: .now + .seconds(Self.minutes * 30))
  }
}

/// A client that commits one row after the other while the server, the daemon, their connection and the store fail in
/// turn. The server's commits wait for the daemon: what the client was told of must never be missing.
private struct Chaos {
  enum Trouble: CaseIterable {
    case restart, immediate, crash, cut, stall, storeAway, backup
  }

  let server: PostgresServer
  let site: BackupSite
  let acknowledged: String
  var random: SeededGenerator

  static func run(version: Int, rounds: Int, deadline: ContinuousClock.Instant? = nil) throws {
    let seed = Programs.seed
    Programs.note("chaos on PostgreSQL \(version), seed \(seed)")
    try PostgresServer.run(version: version) { server in
      try server.psql("create table kept (number int primary key)")
      try BackupSite.run(server) { site in
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(of: "kind: wal,", with: "kind: wal, synchronous: true,"))
        try server.psql("alter system set synchronous_standby_names = 'backupd_main'")
        var chaos = Chaos(
          server: server, site: site, acknowledged: try site.fresh("acknowledged"), random: SeededGenerator(seed: seed))
        try site.withDaemon { _ in
          try server.psql("select pg_reload_conf()")
          try site.backup()
        }
        try Program.running("/bin/bash", ["-c", chaos.client], as: .postgres) { _ in
          var left = rounds
          while left > 0, deadline.map({ ContinuousClock.now < $0 }) ?? true {
            try chaos.round()
            left -= 1
          }
        }
        try chaos.expectAll(version: version)
      }
    }
  }

  /// Notes each row once it is told that it is committed, and when.
  private var client: String {
    """
    number=0
    while :; do
      number=$((number + 1))
      if \(server.installation.program("psql")) -XAtq -d '\(server.connection)' -c "insert into kept values ($number)" 2>/dev/null; then
        echo "$number $(date -u +%FT%T.%NZ)" >>'\(acknowledged)'
      else
        sleep 0.05
      fi
    done
    """
  }

  /// One life of the daemon, which ends with `kill -9` or as an operator ends it.
  mutating func round() throws {
    try site.withDaemon { daemon in
      for _ in 0..<4 {
        let trouble = Trouble.allCases.randomElement(using: &random)!
        try make(trouble)
        usleep(UInt32.random(in: 100_000...1_500_000, using: &random))
        #expect(daemon.isRunning, "after \(trouble)")
      }
      if Bool.random(using: &random) { try daemon.kill() } else { try daemon.stop() }
    }
  }

  private mutating func make(_ trouble: Trouble) throws {
    switch trouble {
    case .restart: try server.restart(.fast)
    case .immediate: try server.restart(.immediate)
    case .crash:
      try server.crash()
      try server.start()
    case .cut: try server.psql("select pg_terminate_backend(pid) from pg_stat_replication")
    case .stall:
      let senders = try server.psql("select pid from pg_stat_replication").split(separator: "\n").compactMap {
        Int32($0)
      }
      for sender in senders { kill(sender, SIGSTOP) }
      usleep(UInt32.random(in: 500_000...3_000_000, using: &random))
      for sender in senders { kill(sender, SIGCONT) }
    case .storeAway:
      try FileManager.default.moveItem(atPath: site.store, toPath: site.store + ".away")
      usleep(UInt32.random(in: 500_000...6_000_000, using: &random))
      try FileManager.default.moveItem(atPath: site.store + ".away", toPath: site.store)
    case .backup: _ = try site.backupctl("run", "physical", "--no-wait")
    }
  }

  func expectAll(version: Int) throws {
    try site.withDaemon { _ in
      try server.psql("select pg_switch_wal(), txid_current()")
      try site.waitUntilDurable(server)
    }
    #expect(try site.json("wal", "gaps") == .array([]))
    let told = try String(contentsOfFile: acknowledged, encoding: .utf8).split(separator: "\n").map {
      let words = $0.split(separator: " ")
      return (number: Int(words[0]) ?? 0, time: String(words[1]))
    }
    let backups = try site.json("backups").array?.count ?? 0
    Programs.note("\(told.count) commits told of, \(backups) backups")
    try #require(told.count > 50)
    let all = try restored([], version: version)
    #expect(Set(told.map(\.number)).subtracting(all) == [])
    #expect(all == (try numbers(server)))
    // An instant in between: what was told before it is there, what began after it is not.
    for share in [0.3, 0.6, 0.9] {
      let last = told[Int(Double(told.count) * share)]
      let rows = try restored(["--target-time", last.time], version: version)
      let before = Set(told.filter { $0.number <= last.number }.map(\.number))
      #expect(before.subtracting(rows) == [], "at \(last.time)")
      #expect((rows.max() ?? 0) <= last.number + 1, "at \(last.time)")
    }
  }

  private func restored(_ target: [String], version: Int) throws -> Set<Int> {
    let directory = try site.fresh("restored")
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try site.succeed(["restore", directory, "--cluster", BackupSite.cluster] + target)
    return try PostgresServer.startRestored(directory: directory, version: version) { copy in
      try copy.waitUntilPromoted()
      return try numbers(copy)
    }
  }

  private func numbers(_ server: PostgresServer) throws -> Set<Int> {
    Set(try server.psql("select number from kept").split(separator: "\n").compactMap { Int($0) })
  }
}
