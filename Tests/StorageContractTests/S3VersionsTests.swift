import BackupModel
import BlockingWork
import Foundation
import Storage
import TestSupport
import Testing
import Transfer

@Suite("A bucket with versions", .serialized) struct S3VersionsTests {
  @Test("keeps the contract of stores, also with locks", arguments: [ObjectServer.BucketKind.versioned, .locking])
  func contract(kind: ObjectServer.BucketKind) throws {
    try ObjectServer.run(.ceph) { server in
      try server.makeBucket("contract", kind)
      for (number, (what, check)) in StorageContract.checks.enumerated() {
        let lock = kind == .locking ? S3Lock(mode: .governance, period: .seconds(3600)) : nil
        let store = TestBucket.store("contract", on: server, prefix: "check/\(number)", lock: lock)
        do {
          try check(StorageContract(store: store))
        } catch {
          Issue.record("\(what): \(ErrorReport(error))")
        }
      }
    }
  }

  @Test("is read as it was before objects were deleted and overwritten", arguments: [ObjectServer.Kind.ceph, .moto])
  func past(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try server.makeBucket("past", .versioned)
      let bucket = VersionedBucket(TestBucket.store("past", on: server, prefix: "pg", pageSize: 3))
      for name in VersionedBucket.names { try bucket.put(name, name) }
      let begin = try waitForNextSecond()
      try server.amazon(
        """
        for name in ["pg/a/1", "pg/a/b/3"]: s3.delete_object(Bucket="past", Key=name)
        for round in range(7): s3.put_object(Bucket="past", Key="pg/a/2", Body=b"overwritten %d" % round)
        s3.put_object(Bucket="past", Key="pg/a/1", Body=b"again")
        s3.put_object(Bucket="past", Key="pg/a/new", Body=b"new")
        s3.delete_object(Bucket="past", Key="pg/top")
        """)
      try bucket.expectPast(begin)
    }
  }

  @Test("gives what lies under an object, the oldest first", arguments: [ObjectServer.Kind.ceph, .moto])
  func hidden(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try server.makeBucket("past", .versioned)
      let bucket = VersionedBucket(TestBucket.store("past", on: server, prefix: "pg", pageSize: 3))
      for name in ["a/1", "a/10", "a/2"] { try bucket.put(name, name) }
      try server.amazon(
        """
        import time
        time.sleep(1.1)
        for round in range(12): s3.put_object(Bucket="past", Key="pg/a/1", Body=b"%d" % round)
        s3.delete_object(Bucket="past", Key="pg/a/2")
        """)
      let found = try bucket.hidden("a/1")
      #expect(found.count == 8 && found[0] == "a/1" && !found.contains("11"), "\(found)")
      #expect(try bucket.hidden("a/2") == ["a/2"])
      for text in ["a/10", "a", "never"] { #expect(try bucket.hidden(text) == []) }
      let one = try #require(try bucket.store.hiddenVersions(of: VersionedBucket.name("a/1")).first)
      #expect(throws: StorageError.self) { try VersionedBucket(one).put("a/1", "over") }
    }
    #expect(try PosixStore(root: "/nowhere").hiddenVersions(of: VersionedBucket.name("a/1")).isEmpty)
  }

  @Test("knows what was frozen and is deleted")
  func frozen() throws {
    try ObjectServer.run(.moto) { server in
      try server.makeBucket("cold", .versioned)
      let store = TestBucket.store("cold", on: server, packClass: "GLACIER")
      let pack = "clusters/a/7/packs/x"
      try VersionedBucket(store).put(pack, "content")
      try server.slowThawing(seconds: 1)
      let begin = try waitForNextSecond()
      try store.delete(VersionedBucket.name(pack))
      let past = try #require(try store.asOf(begin) as? any ThawingStore)
      let listed = try past.list(below: "clusters/a/7/packs").objects
      #expect(listed.map(\.storageClass) == [StorageClass("GLACIER")])
      #expect(try past.thawState(of: VersionedBucket.name(pack)) == .frozen)
      #expect { try past.readAll(VersionedBucket.name(pack)) } throws: { ($0 as? StorageError)?.isFrozen == true }
      #expect { try past.thawState(of: VersionedBucket.name("clusters/a/7/packs/y")) } throws: {
        ($0 as? StorageError)?.isMissing == true
      }
    }
  }

  @Test("whose versioning is off, and any other store, says that it keeps nothing")
  func noPast() throws {
    try ObjectServer.run(.moto) { server in
      try server.makeBucket("plain")
      let store = TestBucket.store("plain", on: server)
      #expect { try store.asOf(.now()) } throws: {
        ErrorReport($0).description.contains("versioning of its bucket is off")
      }
    }
    #expect {
      try PosixStore(root: "/nowhere").asOf(.now())
    } throws: {
      ErrorReport($0).description.contains("/nowhere")
    }
  }

  @Test("locks what restores need and leaves the rest free", arguments: [ObjectServer.Kind.ceph, .moto])
  func locks(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try server.makeBucket("locks", .locking)
      let day = Duration.seconds(86400)
      func open() -> S3Store {
        TestBucket.store("locks", on: server, prefix: "pg", lock: S3Lock(mode: .compliance, period: day))
      }
      let store = open()
      let lineage = "clusters/main/7000000000/"
      let kept = [
        "repository.json", "keys/k/file.json", lineage + "packs/p", lineage + "metadata/m", lineage + "backups/b",
        lineage + "wal/00000002.history", lineage + "wal/00000001/000000010000000000000001",
      ]
      let free = [
        "tmp/probe", lineage + "leases/h/1", lineage + "checkpoints/b-1", lineage + "tombstones/b-1",
        lineage + "gaps/g", lineage + "claims/b-j", lineage + "damage/p", lineage + "acceptances/1",
        lineage + "wal/00000001/000000010000000000000001.partial/0000-0001",
      ]
      for name in kept + free { try VersionedBucket(store).put(name, name) }
      let begin = Timestamp.now()
      // Another process, which remembers nothing.
      let locks = try #require(open().locks)
      for text in kept {
        let end = try #require(try locks.end(of: VersionedBucket.name(text), after: begin), "\(kind): \(text)")
        #expect(abs((end - begin - day).components.seconds) < 60, "\(kind): \(text)")
      }
      for text in free { #expect(try locks.end(of: VersionedBucket.name(text), after: begin) == nil, "\(text)") }
      let pack = try VersionedBucket.name(kept[2])
      try locks.extend(pack, to: begin + day * 30)
      let end = try #require(try open().locks?.end(of: pack, after: begin))
      #expect(abs((end - begin - day * 30).components.seconds) < 2)
      #expect { try locks.end(of: VersionedBucket.name("keys/none"), after: begin) } throws: {
        ($0 as? StorageError)?.isMissing == true
      }
      try locks.requireUsable()
      try server.makeBucket("plain")
      let plain = TestBucket.store("plain", on: server, lock: S3Lock(mode: .governance, period: day))
      #expect { try plain.locks?.requireUsable() } throws: { ErrorReport($0).description.contains("no object lock") }
    }
  }

  /// Servers tell times in whole seconds.
  private func waitForNextSecond() throws -> Timestamp {
    let now = Timestamp.now()
    try Poll.until(.seconds(5), "the next second", every: .milliseconds(50)) {
      Timestamp.now().seconds > now.seconds + 1
    }
    return Timestamp(seconds: now.seconds + 1)
  }
}
