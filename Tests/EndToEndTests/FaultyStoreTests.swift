import BackupModel
import FoundationEssentials
import TestSupport
import Testing

/// The whole daemon before a server that fails and lies, with PostgreSQL behind it.
@Suite("Backups to a store that fails", .serialized) struct FaultyStoreTests {
  @Test("are whole, restore, and count all that was asked again", arguments: [ObjectServer.Kind.rclone])
  func loud(kind: ObjectServer.Kind) throws {
    try FaultyStore.run(kind) { store in
      try store.proxy.begin(.init(FaultProxy.Fault.loud + FaultProxy.Fault.slow, rate: 0.1, seed: 7))
      try store.site.withDaemon { _ in
        let runs = try store.backUp(2)
        let counts = try store.proxy.counts
        let retries = runs.compactMap { $0["requests"][0]["retries"].integer }.reduce(0, +)
        #expect(runs.allSatisfy { $0["outcome"].text == "succeeded" }, "\(runs)")
        // What runs beside a backup asks as well.
        #expect(retries > 0 && retries <= counts.loud, "\(retries) of \(counts)")
        // Uploads of the run's own packs: what stalls is given up, made again, and counted in its record.
        try store.proxy.begin(.init(FaultProxy.Fault.stalls, rate: 1, seed: 7, match: "^PUT .*/packs/", limit: 2))
        let stalled = try #require(try store.backUp(1).first)
        #expect(stalled["outcome"].text == "succeeded", "\(stalled)")
        #expect(try #require(stalled["requests"][0]["retries"].integer) >= 2, "\(stalled)")
        let stalls = try store.proxy.counts
        #expect(stalls.loud == 2 && stalls.outlasted == 0, "\(stalls)")
      }
      for command in [["prune", "--dry-run"], ["prune"], ["verify", "--full"], ["backups"]] {
        try store.site.succeed(command, deadline: .seconds(600))
      }
      try store.expectGood()
    }
  }

  @Test("list none that does not restore, whatever lies they are told", arguments: [ObjectServer.Kind.gcs])
  func lies(kind: ObjectServer.Kind) throws {
    try FaultyStore.run(kind) { store in
      try store.proxy.begin(.init(FaultProxy.Fault.lies, rate: 0.1, seed: 8))
      try store.site.withDaemon { _ in
        for run in try store.backUp(3) where run["outcome"].text != "succeeded" {
          // It is told to an operator, and is no silent success.
          #expect(run["error"]["summary"].text != nil, "\(run)")
        }
      }
      // A prune that is lied to may refuse; what it must not do is to remove what is needed.
      _ = try store.site.backupctl(["prune"], deadline: .seconds(600))
      try store.expectGood()
    }
  }

  @Test("behind SSH over connections that are lost are whole, and restore")
  func lostConnections() throws {
    try FaultyStore.run(.sftp) { store in
      try store.proxy.begin(
        .init(FaultProxy.Fault.ofConnections + FaultProxy.Fault.connectionStalls, rate: 0.3, seed: 9))
      try store.site.withDaemon { _ in
        let runs = try store.backUp(2)
        #expect(runs.allSatisfy { $0["outcome"].text == "succeeded" }, "\(runs)")
      }
      try store.expectGood()
    }
  }
}

/// The same plans again and again, on every server.
@Suite("Backups to a store that fails, for long, Soak", .enabled(if: Soak.isOn), .serialized)
struct FaultyStoreSoak {
  @Test("are whole or not there", arguments: [ObjectServer.Kind.rclone, .ceph, .moto, .gcs, .sftp])
  func campaign(kind: ObjectServer.Kind) throws {
    let seed = Soak.seed
    Programs.note("\(kind): seed \(seed)")
    let stalls = kind == .sftp ? FaultProxy.Fault.connectionStalls : FaultProxy.Fault.stalls
    let faults: [FaultProxy.Fault] =
      kind == .sftp
      ? FaultProxy.Fault.ofConnections : FaultProxy.Fault.loud + FaultProxy.Fault.slow + FaultProxy.Fault.lies
    try FaultyStore.run(kind) { store in
      let begin = ContinuousClock.now
      for round in 0..<6 where !Soak.isOver(since: begin) {
        try store.proxy.begin(.init(faults, rate: 0.15, seed: seed &+ UInt64(round)))
        try store.site.withDaemon { _ in
          _ = try store.backUp(5)
          try store.proxy.begin(.init(stalls, rate: 0.1, seed: seed &+ UInt64(round), limit: 6))
          _ = try store.backUp(2)
          #expect(try store.proxy.counts.outlasted == 0)
        }
        _ = try store.site.backupctl(["prune"], deadline: .seconds(600))
        Programs.note("\(kind), round \(round): \(try store.proxy.counts)")
        try store.expectGood()
      }
    }
  }
}

/// A site whose store lies behind a proxy, and its server.
private struct FaultyStore {
  let proxy: FaultProxy
  let server: ObjectServer
  let database: PostgresServer
  let site: BackupSite

  static func run(_ kind: ObjectServer.Kind, _ body: (FaultyStore) throws -> Void) throws {
    try ObjectServer.run(kind) { server in
      try PostgresServer.run { database in
        try FaultProxy.run(server) { proxy in
          try Numbers.create(database)
          try withSite(database, proxy.server) { site in
            try body(FaultyStore(proxy: proxy, server: server, database: database, site: site))
          }
        }
      }
    }
  }

  /// Of transfers that stand still; longer than any delay of the proxy's.
  private static let timeout = "4s"

  private static func withSite(
    _ database: PostgresServer, _ server: ObjectServer, _ body: (BackupSite) throws -> Void
  ) throws {
    guard server.kind == .gcs || server.kind == .sftp else {
      return try CloudSite.run(database, server, more: ", timeout: \(timeout)", body)
    }
    try BackupSite.run(database, creating: false) { site in
      let store = try server.kind == .gcs ? CloudSite.google(server) : CloudSite.sftp(server, site)
      let local = "local: {path: \(site.store)}"
      try site.writeConfiguration(
        site.standardConfiguration.replacingOccurrences(
          of: local, with: "cloud: \(store.dropLast()), timeout: \(timeout)}"))
      try site.succeed("repository", "create")
      try body(site)
    }
  }

  /// Takes backups with something new in each, by the daemon that runs.
  /// - Returns: Their runs, however they ended.
  func backUp(_ count: Int) throws -> [JSON] {
    let first = try Numbers.all(database).count
    return try (0..<count).map { number in
      try Numbers.add(first + number + 1, database)
      return try site.json(["run", "physical"], deadline: .seconds(600))
    }
  }

  /// With faults ended: the next backup succeeds, all that is listed verifies, and the newest state of all restores into a
  /// server that runs.
  func expectGood() throws {
    try proxy.begin(.none)
    try site.withDaemon { _ in
      let run = try #require(try backUp(1).first)
      #expect(run["outcome"].text == "succeeded", "\(run)")
      try site.waitUntilDurable(database, deadline: .seconds(180))
    }
    try site.expectSoundBackups(atLeast: 1)
    let directory = try site.fresh("restored-\(UInt32.random(in: 0 ... .max))")
    try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
    try PostgresServer.startRestored(directory: directory) { copy in
      try copy.waitUntilPromoted()
      #expect(try Numbers.all(copy) == Numbers.all(database))
    }
    try FileManager.default.removeItem(atPath: directory)
  }
}
