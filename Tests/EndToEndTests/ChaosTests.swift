import BackupModel
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("WAL in chaos", .serialized, .enabled(if: !TemporaryDisk.isVolatile, "needs a disk for temporary files"))
struct ChaosTests {
  @Test("loses no commit and leaves no gap") func short() throws { try Chaos.run(version: 15, rounds: 3) }
}

@Suite("WAL in chaos, Soak", .serialized, .enabled(if: Soak.isOn)) struct ChaosSoak {
  /// Minutes, by `SOAK_MINUTES`.
  static let minutes = ProcessInfo.processInfo.environment["SOAK_MINUTES"].flatMap { Int($0) } ?? 30

  @Test("loses no commit and leaves no gap", arguments: [15, 18]) func long(version: Int) throws {
    try Chaos.run(version: version, rounds: .max, deadline: .now + .seconds(Self.minutes * 30))
  }
}

/// A client that commits one row after the other while the servers, the daemon, the network between them, its clock and
/// the store fail in turn. Commits wait for the daemon: what the client was told of must never be missing.
private struct Chaos {
  enum Trouble: CaseIterable {
    case restart, immediate, crash, failover, disconnect, stall, storeAway, backup, clock, network
  }

  let site: BackupSite
  /// The daemon's.
  let clock: FakeClock
  let acknowledged: String
  let network: NetworkNamespace?
  /// Troubles last minutes now and then.
  let isLong: Bool
  var pair: ServerPair
  var random: SeededGenerator
  var made: [Trouble: Int] = [:]

  private var server: PostgresServer { pair.primary }
  static func run(version: Int, rounds: Int, deadline: ContinuousClock.Instant? = nil) throws {
    guard NetworkNamespace.isPossible else {
      Programs.note("no network is cut: making a network namespace needs root")
      return try run(version: version, rounds: rounds, deadline: deadline, network: nil)
    }
    try NetworkNamespace.run { try run(version: version, rounds: rounds, deadline: deadline, network: $0) }
  }

  private static func run(
    version: Int, rounds: Int, deadline: ContinuousClock.Instant?, network: NetworkNamespace?
  ) throws {
    let seed = Soak.seed
    Programs.note("chaos on PostgreSQL \(version), seed \(seed)")
    try ServerPair.run(version: version, address: network?.address) { pair in
      try pair.primary.psql("create table kept (number int primary key)")
      let connection = pair.connection(overNetwork: network != nil)
      try BackupSite.run(pair.primary, change: { $0.connection = connection }) { site in
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(of: "kind: wal,", with: "kind: wal, synchronous: true,"))
        var chaos = Chaos(
          site: site, clock: try FakeClock(site.directory + "/clock"), acknowledged: try site.fresh("acknowledged"),
          network: network, isLong: deadline != nil,
          pair: pair, random: SeededGenerator(seed: seed))
        try chaos.withDaemon { _ in try site.backup() }
        try pair.makeCommitsWait(for: "backupd_main")
        try Program.running("/bin/bash", ["-c", chaos.client], as: .postgres) { _ in
          var left = rounds
          while left > 0, deadline.map({ ContinuousClock.now < $0 }) ?? true {
            try chaos.round()
            left -= 1
          }
        }
        Programs.note("troubles: \(chaos.made.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", "))")
        try chaos.expectAll(version: version)
      }
    }
  }

  private func withDaemon(_ body: (RunningDaemon) throws -> Void) throws {
    let environment = clock.environment.merging(["BACKUPD_CONFIG": site.configuration]) { $1 }
    try site.withDaemon(environment: environment, wrapper: network?.wrapper ?? [], body)
  }

  /// Notes each row once it is told that it is committed, and when.
  private var client: String {
    """
    number=0
    while :; do
      number=$((number + 1))
      if \(server.installation.program("psql")) -XAtq -d '\(pair.connection(overNetwork: false))' -c "insert into kept values ($number)" 2>/dev/null; then
        echo "$number $(date -u +%FT%T.%NZ)" >>'\(acknowledged)'
      else
        sleep 0.05
      fi
    done
    """
  }

  /// One life of the daemon, which ends with `kill -9` or as an operator ends it.
  mutating func round() throws {
    var chaos = self
    try withDaemon { daemon in
      for _ in 0..<4 {
        let trouble = Trouble.allCases.randomElement(using: &chaos.random)!
        chaos.made[trouble, default: 0] += 1
        try chaos.make(trouble)
        usleep(UInt32.random(in: 100_000...1_500_000, using: &chaos.random))
        #expect(daemon.isRunning, "after \(trouble)")
      }
      if Bool.random(using: &chaos.random) { try daemon.kill() } else { try daemon.stop() }
    }
    self = chaos
  }

  /// Seconds in tests; now and then minutes where there is time for it.
  private mutating func wait(upTo seconds: Double) {
    let isMinutes = isLong && Int.random(in: 0..<10, using: &random) == 0
    let time = Double.random(in: 0.5...seconds, using: &random) * (isMinutes ? 15 : 1)
    usleep(UInt32(time * 1_000_000))
  }

  private mutating func make(_ trouble: Trouble) throws {
    switch trouble {
    case .restart: try pair.restart(.primary)
    case .immediate: try pair.restart(.primary, .immediate)
    case .crash:
      try server.crash()
      try pair.start(server)
    case .failover: try pair.failOver()
    case .disconnect: try server.psql("select pg_terminate_backend(pid) from pg_stat_replication")
    case .stall:
      let senders = try server.psql("select pid from pg_stat_replication").split(separator: "\n").compactMap {
        Int32($0)
      }
      for sender in senders { kill(sender, SIGSTOP) }
      wait(upTo: 3)
      for sender in senders { kill(sender, SIGCONT) }
    case .storeAway:
      try FileManager.default.moveItem(atPath: site.store, toPath: site.store + ".away")
      wait(upTo: 6)
      try FileManager.default.moveItem(atPath: site.store + ".away", toPath: site.store)
    case .clock: try clock.set(ahead: [-3600, 0, 3600].randomElement(using: &random)!)
    case .network:
      try network?.cut()
      wait(upTo: 8)
      try network?.mend()
    case .backup: _ = try site.backupctl("run", "physical", "--no-wait")
    }
  }

  func expectAll(version: Int) throws {
    try clock.set(ahead: 0)
    try withDaemon { _ in
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
    // However slow the machine is.
    try #require(told.count > 20)
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
