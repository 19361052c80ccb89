import BackupModel
import BlockingWork
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing
import Transfer

@testable import Storage

@Suite("A store on an SFTP server", .serialized) struct SFTPStoreTests {
  private let name = ObjectName("a/object")!

  @Test("keeps the contract of stores")
  func contract() throws {
    try SFTPFixture.run { fixture in
      for (number, (what, check)) in StorageContract.checks.enumerated() {
        let root = fixture.root + "/\(number)"
        #expect(mkdir(root, 0o755) == 0)
        do {
          try check(StorageContract(store: fixture.store(root)))
          #expect(try fixture.temporaryFiles(root).isEmpty, "\(what): files left below tmp")
        } catch {
          Issue.record("\(what): \(ErrorReport(error))")
        }
      }
    }
  }

  /// Not the whole contract: that server takes seconds for what OpenSSH's does at once.
  @Test("never replaces, where the server's rename does")
  func replacingServer() throws {
    try SFTPFixture.runReplacing { fixture in
      let store = fixture.store(fixture.root, shown: "/")
      try StorageContract(store: store).neverOverwrites()
      let name = ObjectName("race/object")!
      let winners = Mutex<[UInt8]>([])
      try runTogether(
        Cancellation(), label: "race",
        (1...4).map { (number: UInt8) in
          {
            do {
              try [number].withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
              winners.withLock { $0.append(number) }
            } catch StorageError.alreadyExists {}
          }
        })
      let content = try store.readAll(name)
      #expect(winners.withLock { $0 } == content)
      #expect(try fixture.temporaryFiles(fixture.root).isEmpty)
    }
  }

  private func put(_ store: SFTPStore, _ name: ObjectName) throws {
    try [UInt8]([1, 2, 3]).withUnsafeBytes { try store.put(name, $0, cancellation: Cancellation()) }
  }

  @Test("that is not there is no empty store")
  func missingRoot() throws {
    try SFTPFixture.run { fixture in
      let store = fixture.store(fixture.root + "/store")
      func isAway(_ error: any Error) -> Bool {
        if case StorageError.failed(_, _, _, let cause, .mayHelp) = error { cause.hint != nil } else { false }
      }
      #expect { try store.size(of: name) } throws: { isAway($0) }
      #expect { try store.list(below: "") } throws: { isAway($0) }
      #expect { try store.list(below: "a") } throws: { isAway($0) }
      #expect { try store.readAll(name) } throws: { isAway($0) }
      #expect { try store.delete(name) } throws: { isAway($0) }
      try put(store, name)
      #expect(try store.size(of: name) == 3)
      #expect(rename(fixture.root + "/store", fixture.root + "/away") == 0)
      #expect { try store.size(of: name) } throws: { isAway($0) }
      #expect { try put(store, ObjectName("a/second")!) } throws: { isAway($0) }
      #expect(FileManager.default.fileExists(atPath: fixture.root + "/store") == false)
    }
  }

  @Test("makes a directory again that was removed when it was empty, and removes those of leases")
  func directories() throws {
    try SFTPFixture.run { fixture in
      let store = fixture.store(fixture.root)
      try put(store, name)
      try store.delete(name)
      #expect(rmdir(fixture.root + "/a") == 0)
      try put(store, name)
      let lease = ObjectName("c/leases/holder/1")!
      try put(store, lease)
      try store.delete(lease)
      #expect(try store.list(below: "c/leases").prefixes == [])
      try put(store, lease)
      #expect(try store.readAll(lease) == [1, 2, 3])
    }
  }

  @Test("trusts no host whose key is not known, and says how to let it in")
  func hostKeys() throws {
    try SFTPFixture.run { fixture in
      let stranger = fixture.root + "/stranger"
      try Program.succeed("ssh-keygen", ["-q", "-N", "", "-t", "ed25519", "-f", stranger])
      let key = String(decoding: try Data(contentsOf: URL(fileURLWithPath: stranger + ".pub")), as: UTF8.self)
      for (file, content) in [
        ("empty", ""), ("other", "[127.0.0.1]:\(fixture.port) " + key), ("away", nil as String?),
      ] {
        let path = fixture.root + "/" + file
        if let content { #expect(FileManager.default.createFile(atPath: path, contents: Data(content.utf8))) }
        let text = report { try fixture.store(fixture.root, knownHosts: path).list(below: "") }
        #expect(text.contains("could not trust") && text.contains("ssh-keyscan -p \(fixture.port)"), "\(text)")
        let refusal = report { try put(fixture.store(fixture.root, knownHosts: path), name) }
        #expect(refusal.contains("could not trust"))
      }
    }
  }

  @Test("logs in with a key that has a passphrase, and shows it to nobody")
  func passphrases() throws {
    try SFTPFixture.run { fixture in
      let key = fixture.root + "/locked"
      try FileManager.default.copyItem(atPath: fixture.key, toPath: key)
      try Program.succeed("ssh-keygen", ["-q", "-p", "-P", "", "-N", "secret-marked", "-f", key])
      #expect(chmod(key, 0o600) == 0)
      let store = fixture.store(fixture.root, key: key, passphrase: "secret-marked")
      try put(store, name)
      #expect(try store.readAll(name) == [1, 2, 3])
      let wrong = report { try fixture.store(fixture.root, key: key, passphrase: "wrong-marked").list(below: "") }
      #expect(wrong.contains("could not log in") && !wrong.contains("marked"), "\(wrong)")
    }
  }

  @Test("says what it may not do, and sweeps only what writers left long ago")
  func sweeping() throws {
    try SFTPFixture.run { fixture in
      let store = fixture.store(fixture.root)
      try put(store, name)
      let old = "\(Timestamp(seconds: 1000).compact)-x"
      let new = "\(Timestamp.now().compact)-x"
      for file in [old, new, "strange file"] {
        #expect(FileManager.default.createFile(atPath: fixture.root + "/tmp/" + file, contents: Data([1])))
      }
      try store.sweep()
      #expect(Set(try fixture.temporaryFiles(fixture.root)) == [new, "strange file"])
      #expect(try store.list(below: "").prefixes == ["a"])
      let away = SFTPStore(
        SFTPSettings(host: "127.0.0.1", port: 1, user: "nobody", path: "/x", knownHostsFile: "/dev/null"),
        retries: RetrySchedule(total: .seconds(1)))
      #expect(report { try away.list(below: "") }.contains("127.0.0.1:1"))
      #expect(try #require(away.counters?.now.retries) > 0)
    }
  }

  @Test("tells of each object when it was written, and of what it does not know nothing")
  func times() throws {
    try SFTPFixture.run { fixture in
      let store = fixture.store(fixture.root)
      try put(store, name)
      let written = try #require(try store.modified(of: name))
      #expect(abs((written - Timestamp.now()).components.seconds) < 60)
      #expect(try store.list(below: "a").objects.allSatisfy { $0.modified == nil })
      func write(at seconds: Double) throws {
        try FileManager.default.setAttributes(
          [.modificationDate: Date(timeIntervalSince1970: seconds)], ofItemAtPath: fixture.root + "/\(name)")
      }
      try write(at: 1_700_000_000)
      let old = try #require(try fixture.store(fixture.root).modified(of: name))
      #expect(abs(old.seconds - 1_700_000_000) < 60)
      // A server without times sends zero.
      try write(at: 0)
      #expect(try store.modified(of: name) == nil)
      #expect(try store.modified(of: ObjectName("a/none")!) == nil)
      #expect(try store.modified(of: ObjectName("none/none")!) == nil)
      #expect(try fixture.temporaryFiles(fixture.root).isEmpty)
    }
  }

  private func report(_ body: () throws -> some Any) -> String {
    do {
      _ = try body()
      return "no error"
    } catch {
      return ErrorReport(error).description
    }
  }
}

@Suite("A directory as an SFTP server lists it") struct SFTPListingTests {
  private let good = """
    drwxr-x---    3 backup   backup       4096 Nov 26 12:57 .
    -rw-r-----    1 backup   domain users   12 Nov  6  2025 manifest
    -rw-r-----    1 1000     1000   17179869184 Feb 29 00:00 pack-1
    drwxr-x---    2 backup   backup       4096 Jan  1 12:57 packs
    -rw-r--r--    1 root     root            3 Nov 26 12:57 not ours
    lrwxrwxrwx    1 root     root            3 Nov 26 12:57 link -> manifest

    """

  @Test("is read whatever its users are called, without what cannot be ours")
  func reads() {
    let entries = SFTPEntry.parse(Array(good.utf8))
    #expect(
      entries == [
        SFTPEntry(kind: .directory, size: 4096, name: "."), SFTPEntry(kind: .file, size: 12, name: "manifest"),
        SFTPEntry(kind: .file, size: 17_179_869_184, name: "pack-1"),
        SFTPEntry(kind: .directory, size: 4096, name: "packs"),
      ])
    #expect(SFTPEntry.parse([]) == [])
  }

  @Test("is refused in another form, whatever bytes come")
  func broken() {
    for line in [
      "manifest", "-rw-r-----", "-rw-r----- 1 a b 12 2026-11-26 12:57 manifest", "total 4",
      "-rw-r----- 1 a b x Nov 26 12:57 manifest", "-rw-r----- 1 a b 99999999999999999999 Nov 26 12:57 manifest",
      "-rw-r----- 1 a b 12 Nov 26 12:57",
    ] {
      #expect(SFTPEntry.parse(Array((good + line).utf8)) == nil, "\(line)")
    }
    for _ in 0..<20_000 {
      // Any answer is right that is given: it must not crash, nor make a size below zero.
      let entries = SFTPEntry.parse(Mutation.of(Array(good.utf8)))
      #expect(entries?.allSatisfy { $0.size >= 0 } != false)
    }
  }
}
