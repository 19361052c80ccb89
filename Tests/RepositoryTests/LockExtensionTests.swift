import BackupModel
import BlockingWork
import Storage
import Synchronization
import TestSupport
import Testing
import Transfer

@testable import Repository

@Suite("Locks of what a backup leans on") struct LockExtensionTests {
  @Test("are asked for once, and made longer where less than half is left", arguments: [ObjectServer.Kind.ceph, .moto])
  func requests(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try server.makeBucket("locks", .locking)
      let hour = Duration.seconds(3600)
      func open(_ period: Duration) -> (store: RepositoryStore, bucket: S3Store) {
        let keys = AWSKeys(accessKey: server.facts["key"] ?? "", secretKey: server.facts["secret"] ?? "")
        let settings = S3Settings(
          bucket: "locks", region: server.facts["region"] ?? "us-east-1", endpoint: server.endpoint,
          lock: S3Lock(mode: .governance, period: period))
        let bucket = S3Store(settings, credentials: AWSCredentials(.configured { keys }, environment: [:]))
        return (RepositoryStore(id: StoreID(unchecked: "cloud"), objects: bucket), bucket)
      }
      let names = (0..<40).map { ObjectName(composed: "clusters/main/1/packs/\($0)") }
      let first = open(hour)
      for name in names {
        try [UInt8(1)].withUnsafeBytes { try first.bucket.put(name, $0, cancellation: Cancellation()) }
      }
      /// How many requests it takes.
      func extend(_ place: (store: RepositoryStore, bucket: S3Store)) throws -> Int {
        let before = place.bucket.connectionRequests
        #expect(try LockExtension(place.store)?.extend(names, Cancellation()) == nil)
        return place.bucket.connectionRequests - before
      }
      // Those it has put it knows.
      #expect(try extend(first) == 0)
      // Another process asks, and finds enough.
      #expect(try extend(open(hour)) == 40)
      let longer = open(hour * 10)
      #expect(try extend(longer) == 80)
      #expect(try extend(longer) == 0)
      let locks = try #require(open(hour).bucket.locks)
      for name in names { #expect(try #require(try locks.end(of: name, after: .now())) > .now() + hour * 9) }
      #expect {
        _ = try LockExtension(longer.store)?.extend(names + [ObjectName(composed: "keys/none")], Cancellation())
      } throws: {
        ($0 as? StorageError)?.isMissing == true
      }
    }
  }

  @Test("that cannot be made longer are told, and end nothing that waits for them")
  func failure() throws {
    let store = RepositoryStore(id: StoreID(unchecked: "cloud"), objects: Unlockable())
    let cancellation = Cancellation()
    let error = try #require(try LockExtension(store)?.extend([ObjectName(composed: "keys/k")], cancellation))
    let report = ErrorReport(error)
    #expect(report.summary.contains("\"cloud\"") && report.detail?.contains("no right") == true)
    #expect(!cancellation.isCancelled)
  }
}

/// Where every object's lock is about to end, and nobody may lock it for longer.
private struct Unlockable: ObjectStore, ObjectLocks {
  var location: String { "nowhere" }
  var locks: (any ObjectLocks)? { self }
  var period: Duration { .seconds(3600) }

  func end(of name: ObjectName, after moment: Timestamp) throws -> Timestamp? { .now() + .seconds(1) }
  func extend(_ name: ObjectName, to end: Timestamp) throws {
    throw StorageError.failed("lock", name, in: location, cause: ErrorReport(summary: "no right"), retry: .useless)
  }
  func requireUsable() throws {}
  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {}
  func size(of name: ObjectName) throws -> Int64? { nil }
  func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    throw StorageError.missing(name, in: location)
  }
  func list(below prefix: String) throws -> Listing { Listing() }
  func delete(_ name: ObjectName) throws {}
}

extension S3Store {
  /// Requests made so far.
  fileprivate var connectionRequests: Int { Int(counters?.now.requests ?? 0) }
}
