import BackupModel
import BlockingWork
import Storage
import Synchronization
import TestSupport
import Testing
import Transfer

@testable import Recovery
@testable import Repository

@Suite("Thawing", .serialized) struct ThawTests {
  private static let lineage = Lineage(cluster: ClusterID(unchecked: "main"), systemIdentifier: SystemIdentifier(7))

  /// Packs of one class in a bucket of moto.
  private static func run(_ count: Int, _ body: (ObjectServer, S3Store, [PackID]) throws -> Void) throws {
    try ObjectServer.run(.moto) { server in
      try server.makeBucket("cold")
      var settings = S3Settings(bucket: "cold", region: "us-east-1", endpoint: server.endpoint)
      settings.packClass = "GLACIER"
      let keys = AWSKeys(accessKey: "any", secretKey: "any")
      let store = S3Store(settings, credentials: AWSCredentials(.configured { keys }, environment: [:]))
      let packs = (0..<count).map { _ in PackID.random() }
      for pack in packs {
        try [UInt8](repeating: 1, count: 1000).withUnsafeBytes {
          try store.put(lineage.pack(pack), $0, cancellation: Cancellation())
        }
      }
      try body(server, store, packs)
    }
  }

  private static func plan(_ store: S3Store, _ packs: [PackID]) throws -> ThawPlan {
    let states = try ThawPlan.states(of: packs, in: store, lineage, Cancellation())
    return ThawPlan(
      store: StoreID(unchecked: "cloud"), tier: .standard,
      packs: packs.map {
        .init(id: $0, bytes: 1_000_000_000, storageClass: StorageClass("GLACIER"), state: states[$0] ?? .frozen)
      }, lineage: lineage, objects: store)
  }

  @Test("lets what can be read overtake what cannot, and hands out all of it")
  func overtakes() throws {
    try Self.run(3) { server, store, packs in
      try store.thaw(Self.lineage.pack(packs[1]), days: 7, tier: .bulk)
      let plan = try Self.plan(store, packs)
      #expect(plan.frozen.map(\.id) == [packs[0], packs[2]] && plan.readable.map(\.id) == [packs[1]])
      #expect(plan.minutes == 180...300)
      // 2 GB at $0.01, two requests, and a week of copies.
      #expect(abs(plan.dollars - (0.02 + 2 * 0.05 / 1000 + 2 * 0.023 * 7 / 30)) < 1e-9)
      try server.slowThawing(seconds: 1)
      try plan.request(Cancellation()) { _ in }
      var order: [PackID] = []
      let tasks = ThawedTasks(ThawWait(plan) { _ in }, Cancellation()) { order.append($0.pack) }
      for pack in packs { try tasks.push(PackTask(pack: pack)) }
      #expect(order.first == packs[1])
      try tasks.finish()
      #expect(Set(order) == Set(packs) && order.count == 3)
    }
  }

  @Test("asks again for what was forgotten, and ends when it is cancelled")
  func forgotten() throws {
    try Self.run(2) { server, store, packs in
      let wait = ThawWait(try Self.plan(store, packs)) { _ in }
      // Nobody has asked for them.
      try wait.wait(for: [packs[0]], Cancellation())
      #expect(wait.isReady(packs[0]) && !wait.isReady(packs[1]))
      try server.slowThawing(seconds: 1)
      let cancellation = Cancellation()
      let other = ThawWait(try Self.plan(store, [packs[1]])) { _ in cancellation.cancel() }
      #expect(throws: CancellationError.self) { try other.wait(for: [packs[1]], cancellation) }
    }
  }

  @Test("waits for a store that does not answer for a while")
  func silence() throws {
    try Self.run(1) { server, direct, packs in
      try direct.thaw(Self.lineage.pack(packs[0]), days: 7, tier: .bulk)
      try FaultProxy.run(server) { proxy in
        let settings = S3Settings(bucket: "cold", region: "us-east-1", endpoint: proxy.server.endpoint)
        let keys = AWSKeys(accessKey: "any", secretKey: "any")
        let store = S3Store(
          settings, credentials: AWSCredentials(.configured { keys }, environment: [:]),
          retries: RetrySchedule(total: .zero))
        var plan = try Self.plan(store, packs)
        // As it was when the restore began.
        plan = ThawPlan(
          store: plan.store, tier: plan.tier,
          packs: plan.packs.map { .init(id: $0.id, bytes: $0.bytes, storageClass: $0.storageClass, state: .thawing) },
          lineage: plan.lineage, objects: store)
        try proxy.begin(.init([.error500], rate: 1, limit: 2))
        let phases = Mutex<[String]>([])
        let wait = ThawWait(plan) { progress in phases.withLock { $0.append(progress.phase) } }
        try wait.wait(for: packs, Cancellation())
        #expect(wait.isReady(packs[0]))
        #expect(
          phases.withLock { $0 } == ["thaw (the store does not answer)", "thaw (the store does not answer)", "thaw"])
      }
    }
  }

  @Test("has the tiers that each class has")
  func tiers() {
    #expect(ThawPrice.of(StorageClass("DEEP_ARCHIVE"), .expedited) == nil)
    for tier in ThawTier.allCases { #expect(ThawPrice.of(StorageClass("GLACIER"), tier) != nil) }
  }
}
