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
    lock: S3Lock? = nil, retries: RetrySchedule = RetrySchedule(total: .seconds(10))
  ) -> S3Store {
    let region = server.facts["region"] ?? "us-east-1"
    var settings = S3Settings(bucket: bucket, region: region, endpoint: server.endpoint, prefix: prefix, lock: lock)
    settings.pageSize = pageSize
    return S3Store(
      settings, credentials: AWSCredentials(.configured { keys(server, secret) }, environment: [:]), retries: retries)
  }

  static func keys(_ server: ObjectServer, _ secret: String? = nil) -> AWSKeys {
    AWSKeys(accessKey: server.facts["key"] ?? "", secretKey: secret ?? server.facts["secret"] ?? "")
  }
}
