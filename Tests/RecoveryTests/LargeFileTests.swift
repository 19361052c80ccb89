import BackupModel
import Foundation
import Glibc
import Repository
import TestSupport
import Testing

@testable import Recovery

@Suite("Large files") struct LargeFileTests {
  typealias Made = FabricatedRepository

  /// By name: aligned ones of 1 MiB and more are written past the page cache.
  private static let sizes = [
    "aligned": 3 << 20, "short-page": (2 << 20) + 4096, "odd": (2 << 20) + 1, "small": 1 << 19,
  ]

  private static func noise(_ count: Int) -> [UInt8] {
    var state: UInt64 = UInt64(count)
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 56)
    }
  }

  /// Bytes of a file that the page cache holds.
  private func cached(_ path: String) throws -> Int {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    try #require(file >= 0)
    defer { close(file) }
    let size = Int(lseek(file, 0, SEEK_END))
    let map = try #require(mmap(nil, size, PROT_READ, MAP_SHARED, file, 0))
    defer { munmap(map, size) }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    var resident = [UInt8](repeating: 0, count: (size + page - 1) / page)
    try #require(mincore(map, size, &resident) == 0)
    return resident.count { $0 & 1 == 1 } * page
  }

  private func restored(_ directory: String) throws -> String {
    let made = try Made(directory)
    try made.storeWAL(1, clock: 10, [.commit(offset: 5000, xid: 1, at: 10)])
    let large = Dictionary(uniqueKeysWithValues: Self.sizes.map { ("base/1/\($0.key)", Self.noise($0.value)) })
    try made.backUp(
      files: Made.files.merging(large) { $1 }, start: Made.lsn(1, 40), stop: Made.lsn(1, 4000))
    let options = try made.options()
    try made.restore(options)
    return options.directory + "/base/1/"
  }

  @Test("come back as they were, whatever their size") func content() throws {
    try TemporaryDirectory.run { directory in
      let place = try restored(directory)
      for (name, size) in Self.sizes {
        #expect(try Array(Data(contentsOf: URL(filePath: place + name))) == Self.noise(size), "\(name)")
      }
    }
  }

  @Test("take no room in the page cache, where the file system can be written past it") func uncached() throws {
    try TemporaryDirectory.run { directory in
      let place = try restored(directory)
      // One that holds files in memory has no other place for them.
      guard try DirectWriting.isPossible(in: directory) else { return }
      #expect(try cached(place + "aligned") == 0 && cached(place + "short-page") == 0)
      #expect(try cached(place + "odd") > 0 && cached(place + "small") > 0)
    }
  }

  @Test("come back on a file system that lives in memory") func inMemory() throws {
    let directory = "/dev/shm/backupd-large-files-\(getpid())"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try #require(chmod(directory, 0o755) == 0)
    let place = try restored(directory)
    #expect(try Array(Data(contentsOf: URL(filePath: place + "aligned"))) == Self.noise(3 << 20))
  }
}

/// Whether writes pass by the page cache: `O_DIRECT` alone does not say, tmpfs takes it.
private enum DirectWriting {
  static func isPossible(in directory: String) throws -> Bool {
    let type = try Program.succeed("/usr/bin/stat", ["-f", "-c", "%T", directory])
    return ["ext2/ext3", "xfs"].contains(type.trimmingCharacters(in: .whitespacesAndNewlines))
  }
}
