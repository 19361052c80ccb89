import BackupModel
import BlockingWork
import Foundation
import Glibc
import Storage
import TestSupport
import Testing

@Suite("A store in a directory") struct PosixStoreTests {
  @Test("keeps the contract of stores", arguments: StorageContract.checks.indices)
  func contract(index: Int) throws {
    try TemporaryDirectory.run { directory in
      let root = directory + "/store"
      #expect(mkdir(root, 0o755) == 0)
      try StorageContract.checks[index].1(StorageContract(store: PosixStore(root: root)))
      #expect(try temporaryFiles(root).isEmpty, "\(StorageContract.checks[index].0): files left below tmp")
    }
  }

  private func temporaryFiles(_ root: String) throws -> [String] {
    FileManager.default.fileExists(atPath: root + "/tmp")
      ? try FileManager.default.contentsOfDirectory(atPath: root + "/tmp") : []
  }

  private let name = ObjectName("a/object")!

  private func put(_ store: PosixStore, _ name: ObjectName, _ count: Int) throws {
    try [UInt8](repeating: 7, count: count).withUnsafeBytes {
      try store.put(name, $0, cancellation: Cancellation())
    }
  }

  @Test("that is not there is no empty store: an unmounted disk loses nothing in silence")
  func missingRoot() throws {
    try TemporaryDirectory.run { directory in
      let store = PosixStore(root: directory + "/store", makesRoot: true)
      func isAway(_ error: any Error) -> Bool {
        if case StorageError.failed(_, _, _, let cause, .mayHelp) = error { cause.detail != nil } else { false }
      }
      #expect { try store.size(of: name) } throws: { isAway($0) }
      #expect { try store.list(below: "") } throws: { isAway($0) }
      #expect { try store.readAll(name) } throws: { isAway($0) }
      #expect { try store.delete(name) } throws: { isAway($0) }
      try put(store, name, 10)
      #expect(try store.size(of: name) == 10)
      #expect(rename(directory + "/store", directory + "/away") == 0)
      #expect { try store.size(of: name) } throws: { isAway($0) }
      #expect { try put(store, ObjectName("a/second")!, 10) } throws: { isAway($0) }
      // One that knows the root and begins a new directory, and one that begins while it is away, write nothing below the
      // mount point either.
      #expect { try put(store, ObjectName("new/directory/object")!, 10) } throws: { isAway($0) }
      #expect { try put(PosixStore(root: directory + "/store"), name, 10) } throws: { isAway($0) }
      #expect(FileManager.default.fileExists(atPath: directory + "/store") == false)
    }
  }

  @Test("on a full disk leaves no part of an object, and takes objects again when there is room")
  func fullDisk() throws {
    try #require(geteuid() == 0, "a small file system can be mounted by root only: run the tests as root")
    try TemporaryDirectory.run { directory in
      try Program.succeed("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory])
      defer { umount2(directory, Int32(MNT_DETACH)) }
      let store = PosixStore(root: directory)
      try put(store, ObjectName("a/first")!, 400_000)
      #expect {
        try put(store, name, 2_000_000)
      } throws: { error in
        guard case StorageError.failed(_, _, _, let cause, .mayHelp) = error else { return false }
        return cause.detail == "No space left on device." && cause.hint != nil
      }
      #expect(try store.size(of: name) == nil)
      #expect(try store.list(below: "a").objects.map(\.name.text) == ["a/first"])
      #expect(try temporaryFiles(directory).isEmpty)
      try put(store, name, 400_000)
      #expect((store.freeBytes() ?? 0) < 1_000_000)
    }
  }

  @Test("on a read-only disk says so, and that trying again is of no use")
  func readOnly() throws {
    try #require(geteuid() == 0, "a read-only file system can be mounted by root only: run the tests as root")
    try TemporaryDirectory.run { directory in
      try Program.succeed("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory])
      defer { umount2(directory, Int32(MNT_DETACH)) }
      let store = PosixStore(root: directory)
      try put(store, name, 10)
      try Program.succeed("mount", ["-o", "remount,ro", directory])
      func isUseless(_ error: any Error) -> Bool {
        if case StorageError.failed(_, _, _, let cause, .useless) = error { cause.hint != nil } else { false }
      }
      #expect { try put(store, ObjectName("a/second")!, 10) } throws: { isUseless($0) }
      #expect { try put(PosixStore(root: directory), ObjectName("b/second")!, 10) } throws: { isUseless($0) }
      #expect { try store.delete(name) } throws: { isUseless($0) }
      #expect(try store.readAll(name).count == 10)
    }
  }

  @Test("does not see files that are none of its own, and sweeps only what writers left long ago")
  func foreignFiles() throws {
    try TemporaryDirectory.run { root in
      let store = PosixStore(root: root)
      try put(store, name, 10)
      #expect(mkdir(root + "/lost+found", 0o700) == 0)
      for file in ["a/object~", "tmp/fresh", "tmp/old"] {
        #expect(FileManager.default.createFile(atPath: root + "/" + file, contents: Data([1])))
      }
      var long = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
      #expect(utimes(root + "/tmp/old", &long) == 0)
      #expect(try store.list(below: "").prefixes == ["a"])
      #expect(try store.list(below: "a").objects.map(\.name) == [name])
      try store.sweep()
      #expect(try temporaryFiles(root) == ["fresh"])
    }
  }

  @Test("names with empty parts, dots or other characters are none")
  func names() {
    for text in ["", "/", "/a", "a/", "a//b", "a/../b", ".", "..", "a b", "a/é", "a\u{0}b"] {
      #expect(ObjectName(text) == nil, "\(text)")
    }
    #expect(ObjectName("clusters/c-1/7_0/x.json")?.lastComponent == "x.json")
  }
}
