import BackupModel
import BlockingWork
import Foundation
import Storage
import TestSupport
import Testing
import Transfer

/// Stores whose servers misbehave. Each plan is told by its seed, so that a failure can be repeated.
@Suite("A store behind a line and a server that fail", .serialized) struct FaultTests {
  static let servers: [ObjectServer.Kind] = [.rclone, .ceph, .moto, .gcs]

  @Test("keeps every object whole, misses none, and counts all that it asks again", arguments: servers)
  func faults(kind: ObjectServer.Kind) throws {
    try FaultSite.run(kind) { site in
      try expectOwnKnown(site)
      try site.expectStallsEnd()
      // Each by itself, on every kind of request; then all at once.
      for (number, fault) in FaultProxy.Fault.allFaults.enumerated() {
        try site.campaign([fault], rate: 0.4, operations: 4, seed: 10 + UInt64(number))
      }
      try site.campaign(FaultProxy.Fault.loud + FaultProxy.Fault.slow, rate: 0.2, operations: 30, seed: 1)
      try site.campaign(FaultProxy.Fault.allFaults, rate: 0.2, operations: 15, seed: 2)
    }
  }

  /// A put whose answer is lost has put it; another put of the same bytes has not.
  private func expectOwnKnown(_ site: FaultSite) throws {
    let store = site.store
    // Upon this the connection is in use already: libcurl itself may send a request on it once more.
    try [UInt8(1)].withUnsafeBytes { try store.put(ObjectName("first")!, $0, cancellation: Cancellation()) }
    for size in [0, 10, 100_000] {
      try site.proxy.begin(.init([.resetAfter], rate: 1, match: "^(PUT|POST) .*(lost|upload)", limit: 1))
      let bytes = [UInt8](repeating: 7, count: size)
      let name = ObjectName("lost/\(size)")!
      let before = try #require(store.counters?.now.retries)
      try bytes.withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      #expect(try site.proxy.counts.loud == 1)
      #expect(try #require(store.counters?.now.retries) == before + 1)
      #expect {
        try bytes.withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      } throws: {
        if case StorageError.alreadyExists = $0 { true } else { false }
      }
    }
  }

  @Test("behind SSH keeps every object whole over connections that are lost at any byte")
  func lostConnections() throws {
    try FaultSite.run(.sftp) { site in
      try site.campaign(FaultProxy.Fault.ofConnections, rate: 0.7, operations: 40, seed: 5)
      // Each takes as long as the client is patient: few are enough.
      try site.campaign(
        FaultProxy.Fault.connectionStalls, rate: 1, operations: 3, seed: 6, limit: 4, patience: FaultSite.shortPatience)
    }
  }
}

@Suite("Stores under faults for long, Soak", .enabled(if: Soak.isOn)) struct FaultSoak {
  @Test("lose nothing and keep no half object", arguments: FaultTests.servers + [.sftp])
  func campaign(kind: ObjectServer.Kind) throws {
    let seed = Soak.seed
    print("\(kind): seed \(seed)")
    let begin = ContinuousClock.now
    try FaultSite.run(kind) { site in
      let isTCP = kind == .sftp
      for round in 0..<20 where !Soak.isOver(since: begin) {
        let loud = isTCP ? FaultProxy.Fault.ofConnections : FaultProxy.Fault.loud + FaultProxy.Fault.slow
        try site.campaign(loud, rate: isTCP ? 0.7 : 0.2, operations: 400, seed: seed &+ UInt64(round))
        if !isTCP {
          try site.campaign(FaultProxy.Fault.allFaults, rate: 0.3, operations: 400, seed: seed &+ UInt64(1000 + round))
        }
        try site.campaign(
          isTCP ? FaultProxy.Fault.connectionStalls : FaultProxy.Fault.stalls, rate: isTCP ? 0.3 : 0.1,
          operations: 20, seed: seed &+ UInt64(2000 + round), limit: 20, patience: FaultSite.shortPatience)
      }
    }
  }
}

extension FaultProxy.Fault {
  /// All that HTTP knows.
  static let allFaults = loud + slow + lies
}

/// A server, a proxy before it, and the same store through it and without it.
struct FaultSite {
  let proxy: FaultProxy
  let store: any ObjectStore
  let direct: any ObjectStore
  private let make: (ObjectServer, Duration) -> any ObjectStore

  /// Of a client that waits for what will never come; long enough for a login by SSH.
  static let shortPatience = Duration.seconds(3)

  static func run(_ kind: ObjectServer.Kind, _ body: (FaultSite) throws -> Void) throws {
    try ObjectServer.run(kind) { server in
      if kind == .gcs {
        try FileManager.default.createDirectory(
          atPath: (server.facts["data"] ?? "") + "/faults", withIntermediateDirectories: true)
      } else if kind == .sftp {
        try FileManager.default.createDirectory(
          atPath: server.directory + "/store", withIntermediateDirectories: true)
      } else {
        try server.makeBucket("faults")
      }
      try FaultProxy.run(server) { proxy in
        try body(
          FaultSite(proxy: proxy, store: store(proxy.server), direct: store(server), make: store(_:patience:)))
      }
    }
  }

  /// Waits little between attempts, and makes many: what is looked for is a wrong answer, not a late one.
  private static func store(_ server: ObjectServer, patience: Duration = .seconds(30)) -> any ObjectStore {
    var options = TransferOptions()
    options.connections = 16
    options.patience = patience
    let retries = RetrySchedule(total: .seconds(60), first: .milliseconds(5), longest: .milliseconds(100))
    switch server.kind {
    case .gcs:
      return GCSStore(
        GCSSettings(bucket: "faults", endpoint: server.endpoint),
        credentials: GCPCredentials(.anonymous, environment: [:]), options: options, retries: retries)
    case .sftp:
      let address = server.endpoint.dropFirst("sftp://".count).split(separator: "@")
      let settings = SFTPSettings(
        host: "127.0.0.1", port: Int(address[1].split(separator: ":")[1]) ?? 0, user: String(address[0]),
        path: server.directory + "/store", knownHostsFile: server.facts["known_hosts"] ?? "",
        privateKeyFile: server.facts["key"])
      return SFTPStore(settings, options: options, retries: retries)
    default: return TestBucket.store("faults", on: server, options: options, retries: retries)
    }
  }

  /// - Parameter operations: Of each of four threads.
  /// - Parameter patience: How long a transfer may stand still.
  func campaign(
    _ faults: [FaultProxy.Fault], rate: Double, operations: Int, seed: UInt64, limit: Int = 1 << 40,
    patience: Duration = .seconds(30)
  ) throws {
    let store = make(proxy.server, patience)
    let trust: FaultCampaign.Trust = faults.contains { FaultProxy.Fault.lies.contains($0) } ? .none : .full
    let campaign = FaultCampaign(store, trust: trust, seed: seed)
    try proxy.begin(.init(faults, rate: rate, seed: seed, limit: limit))
    try campaign.run(threads: 4, operations: operations)
    let counts = try proxy.begin(.none)
    let said = "\(faults.map(\.rawValue)), seed \(seed): \(counts.faults) in \(counts.requests)"
    let retries = try #require(store.counters?.now.retries)
    #expect(campaign.failures.isEmpty || trust == .none, "\(said): \(campaign.failures.prefix(3))")
    if proxy.server.kind == .sftp {
      // A connection that is lost while nobody uses it costs nothing.
      #expect(counts.faults.values.reduce(0, +) > 0 && retries > 0, "\(said)")
    } else if faults == FaultProxy.Fault.stalls {
      // A server that is only late may cost an attempt too.
      #expect(retries >= counts.loud && counts.loud > 0, "\(said): \(retries) retries")
    } else if trust == .full {
      #expect(retries == counts.loud, "\(said): \(retries) retries")
      #expect(counts.loud > 0 || faults.allSatisfy { FaultProxy.Fault.slow.contains($0) }, "\(said)")
    }
    #expect(counts.outlasted == 0, "\(said)")
    try campaign.check(direct)
  }

  /// Each kind of request meets each stall once, all at the same time: it is given up, made again, and counted.
  func expectStallsEnd() throws {
    let faults = FaultProxy.Fault.stalls
    let store = make(proxy.server, .seconds(1))
    let bytes = [UInt8](repeating: 7, count: 60_000)
    @Sendable func put(_ name: String) throws {
      try bytes.withUnsafeBytes { try store.put(ObjectName(name)!, $0, cancellation: Cancellation()) }
    }
    @Sendable func read(_ name: String) throws {
      let found = try store.readAll(ObjectName(name)!)
      #expect(found == bytes, "\(name)")
    }
    for number in 0..<8 { try put("old/\(number)") }
    try proxy.begin(.init(faults, rate: 1, inTurn: true))
    let before = try #require(store.counters?.now.retries)
    let bodies: [[@Sendable () throws -> Void]] = (0..<4).map { number in
      [
        { try put("new/\(number)") },
        { try read("old/\(number)") }, { _ = try store.list(below: "old") },
        { try store.delete(ObjectName("old/\(number + 4)")!) },
      ]
    }
    try runTogether(Cancellation(), label: "stalls", bodies.flatMap { $0 })
    let counts = try proxy.begin(.none)
    let retries = try #require(store.counters?.now.retries) - before
    #expect(counts.loud >= 4 * faults.count && counts.outlasted == 0, "\(counts)")
    #expect(faults.allSatisfy { counts.faults[$0.rawValue] ?? 0 > 0 }, "\(counts)")
    #expect(retries >= counts.loud, "\(retries) of \(counts)")
    #expect(try direct.list(below: "old").objects.map(\.size) == [Int64](repeating: 60_000, count: 4))
    #expect(try direct.list(below: "new").objects.map(\.size) == [Int64](repeating: 60_000, count: 4))
  }
}
