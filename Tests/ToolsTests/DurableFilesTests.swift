import DurableFiles
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Durable files") struct DurableFilesTests {
  @Test("are replaced whole, created once, appended to, listed and removed")
  func wholeFiles() throws {
    try TemporaryDirectory.run { root in
      let directory = root + "/a/b"
      try DurableFile.makeDirectory(directory)
      try DurableFile.makeDirectory(directory)
      let path = directory + "/file"
      try DurableFile.replace(path, with: [1, 2, 3])
      try DurableFile.replace(path, with: [4])
      #expect(try DurableFile.read(path) == [4])
      #expect { try DurableFile.create(path, with: [5]) } throws: { ($0 as? FileError)?.code == EEXIST }
      #expect(try DurableFile.read(path) == [4])
      try DurableFile.append([6], to: path)
      try DurableFile.append([7], to: directory + "/new")
      #expect(try DurableFile.read(path) == [4, 6])
      #expect(try DurableFile.names(in: directory) == ["file", "new"])
      try DurableFile.remove(path)
      try DurableFile.remove(path)
      #expect(try DurableFile.names(in: directory) == ["new"])
      #expect { try DurableFile.read(path) } throws: { ($0 as? FileError)?.isMissing == true }
      #expect { try DurableFile.read(directory + "/new", limit: 0) } throws: { ($0 as? FileError)?.code == EFBIG }
      #expect { try DurableFile.makeDirectory(directory + "/new") } throws: { ($0 as? FileError)?.code == ENOTDIR }
    }
  }

  @Test("leave nothing behind where they could not be written")
  func nothingLeft() throws {
    try TemporaryDirectory.run { root in
      #expect(throws: FileError.self) { try DurableFile.replace(root + "/missing/file", with: [1]) }
      try DurableFile.makeDirectory(root + "/taken/inner")
      #expect(throws: FileError.self) { try DurableFile.replace(root + "/taken", with: [1]) }
      #expect(try DurableFile.names(in: root) == ["taken"])
    }
  }

  @Test("are read and written at any place")
  func descriptors() throws {
    try TemporaryDirectory.run { root in
      let file = try Descriptor(opening: root + "/file", O_RDWR | O_CREAT)
      #expect(fcntl(file.number, F_GETFD) & FD_CLOEXEC != 0)
      let bytes = [UInt8](0..<100)
      try bytes.withUnsafeBytes { try file.writeAll($0, at: 50) }
      var buffer = [UInt8](repeating: 9, count: 200)
      #expect(try buffer.withUnsafeMutableBytes { try file.readAll(into: $0, at: 0) } == 150)
      #expect(Array(buffer[..<150]) == [UInt8](repeating: 0, count: 50) + bytes)
      try file.truncate(to: 10)
      #expect(try file.size() == 10)
      try file.sync()
    }
  }

  @Test("a lock is held by one, and free when it goes")
  func locks() throws {
    try TemporaryDirectory.run { root in
      func isFree() throws -> Bool {
        let lock = try LockFile.tryLock(root + "/lock")
        return lock != nil
      }
      func freeBesideAnother() throws -> Bool {
        let held = try LockFile.tryLock(root + "/lock")
        let free = try isFree()
        _ = consume held
        return free
      }
      #expect(try isFree())
      let beside = try freeBesideAnother()
      #expect(!beside)
      #expect(try isFree())
    }
  }
}
