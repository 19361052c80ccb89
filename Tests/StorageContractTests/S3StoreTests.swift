import BackupModel
import BlockingWork
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing
import Transfer

@Suite("A store in a bucket", .serialized) struct S3StoreTests {
  @Test("keeps the contract of stores", arguments: [ObjectServer.Kind.rclone, .ceph, .moto])
  func contract(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try server.makeBucket("contract")
      for (number, (what, check)) in StorageContract.checks.enumerated() {
        let store = TestBucket.store("contract", on: server, prefix: "check/\(number)")
        do {
          try check(StorageContract(store: store))
        } catch {
          Issue.record("\(kind), \(what): \(ErrorReport(error))")
        }
      }
    }
  }

  @Test("pages through long lists", arguments: [ObjectServer.Kind.rclone, .ceph, .moto])
  func pages(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try server.makeBucket("pages")
      let store = TestBucket.store("pages", on: server, pageSize: 50)
      let names = (0..<120).map { ObjectName("many/\($0)")! }
      let next = Counter()
      try runTogether(
        Cancellation(), label: "put",
        (0..<4).map { _ in
          {
            while let number = next.next(below: names.count) {
              try [UInt8(7)].withUnsafeBytes { try store.put(names[number], $0, cancellation: Cancellation()) }
            }
          }
        })
      #expect(try store.list(below: "many").objects.map(\.name) == names.sorted())
      let counts = try #require(store.counters?.now)
      #expect(counts.requests >= 123 && counts.sentBytes >= 120)
    }
  }

  @Test("knows what is frozen, does not take it for missing, and thaws it")
  func thaws() throws {
    try ObjectServer.run(.moto) { server in
      try server.makeBucket("cold")
      let store = TestBucket.store("cold", on: server, packClass: "GLACIER")
      let pack = try #require(ObjectName("clusters/a/7/packs/x"))
      let other = try #require(ObjectName("clusters/a/7/metadata/x"))
      for name in [pack, other] {
        try [UInt8](repeating: 7, count: 9).withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
      }
      try server.slowThawing(seconds: 1)
      #expect(try store.list(below: "clusters/a/7/packs").objects.first?.storageClass == StorageClass("GLACIER"))
      #expect(try store.thawState(of: other) == .warm && store.readAll(other).count == 9)
      #expect(try store.thawState(of: pack) == .frozen)
      #expect(try store.size(of: pack) == 9)
      #expect { try store.readAll(pack) } throws: { ($0 as? StorageError)?.isFrozen == true }
      try store.thaw(pack, days: 3, tier: .bulk)
      try store.thaw(pack, days: 3, tier: .bulk)
      #expect(try store.thawState(of: pack) == .thawing)
      try Poll.until(.seconds(20), "thawing", every: .milliseconds(20)) { try store.thawState(of: pack).isReadable }
      guard case .thawed(let until?) = try store.thawState(of: pack) else {
        Issue.record("no end")
        return
      }
      #expect(until > .now() + .seconds(2 * 86400) && until < .now() + .seconds(5 * 86400))
      #expect(try store.readAll(pack).count == 9)
    }
  }

  @Test("refuses a wrong key, a bucket that is not there and a server that does not answer, and says which")
  func refusals() throws {
    try ObjectServer.run(.rclone) { server in
      try server.makeBucket("real")
      func report(_ store: S3Store) -> String {
        do {
          _ = try store.list(below: "")
          return "no error"
        } catch {
          return ErrorReport(error).description
        }
      }
      let wrong = TestBucket.store("real", on: server, secret: "wrong-secret-marked")
      #expect(report(wrong).contains("access key") && !report(wrong).contains("wrong-secret-marked"))
      let unreal = TestBucket.store("unreal", on: server)
      #expect(report(unreal).contains("NoSuchBucket"))
      // It must not pass for a store that lacks an object.
      let name = try #require(ObjectName("a/b"))
      #expect { try unreal.size(of: name) } throws: { ErrorReport($0).description.contains("NoSuchBucket") }
      #expect { try unreal.readAll(name) } throws: { ($0 as? StorageError)?.isMissing == false }
      let away = S3Store(
        S3Settings(bucket: "b", region: "us-east-1", endpoint: "http://127.0.0.1:1"),
        credentials: AWSCredentials(.configured { AWSKeys(accessKey: "a", secretKey: "b") }, environment: [:]),
        retries: RetrySchedule(total: .seconds(1)))
      #expect(report(away).contains("127.0.0.1:1"))
      #expect(try #require(away.counters?.now.retries) > 0)
    }
  }
}

/// Counts up for several threads.
private final class Counter: Sendable {
  private let value = Mutex(0)
  func next(below end: Int) -> Int? {
    value.withLock { value in
      guard value < end else { return nil }
      value += 1
      return value - 1
    }
  }
}

/// Buckets of test servers.
enum TestBucket {
  static func store(
    _ bucket: String, on server: ObjectServer, prefix: String = "", secret: String? = nil, pageSize: Int? = nil,
    lock: S3Lock? = nil, packClass: String? = nil, options: TransferOptions = TransferOptions(),
    retries: RetrySchedule = RetrySchedule(total: .seconds(10))
  ) -> S3Store {
    let region = server.facts["region"] ?? "us-east-1"
    var settings = S3Settings(bucket: bucket, region: region, endpoint: server.endpoint, prefix: prefix, lock: lock)
    settings.pageSize = pageSize
    settings.packClass = packClass
    return S3Store(
      settings, credentials: AWSCredentials(.configured { keys(server, secret) }, environment: [:]), options: options,
      retries: retries)
  }

  static func keys(_ server: ObjectServer, _ secret: String? = nil) -> AWSKeys {
    AWSKeys(accessKey: server.facts["key"] ?? "", secretKey: secret ?? server.facts["secret"] ?? "")
  }
}
