import BackupModel
import BlockingWork
import Foundation
import Glibc
import Recovery
import Repository
import TestSupport
import Testing

@Suite("Damaged objects") struct DamageTests {
  typealias Made = FabricatedRepository

  private func made(_ directory: String) throws -> (Made, BackupID) {
    let made = try Made(directory)
    try made.storeWAL(1, clock: 10, [.commit(offset: 5000, xid: 1, at: 10)])
    let id = try made.backUp(start: Made.lsn(1, 40), stop: Made.lsn(1, 4000))
    return (made, id)
  }

  /// Object names below the lineage, by the folder they lie in.
  private func objects(_ made: Made, _ folder: String) throws -> [String] {
    let prefix = "\(made.lineage.prefix)/\(folder)"
    return try FileManager.default.contentsOfDirectory(atPath: "\(made.directory)/store/\(prefix)").sorted()
      .map { "\(prefix)/\($0)" }
  }

  /// Turns one bit over for the length of the closure.
  private func flipping<Result>(_ path: String, at offset: Int, _ body: () throws -> Result) throws -> Result {
    var bytes = Array(try Data(contentsOf: URL(filePath: path)))
    bytes[offset] ^= 0x10
    try Data(bytes).write(to: URL(filePath: path))
    defer {
      bytes[offset] ^= 0x10
      // The next bit is turned over in a whole object again.
      try! Data(bytes).write(to: URL(filePath: path))
    }
    return try body()
  }

  private func offsets(_ path: String) throws -> [Int] {
    let size = try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
    return [0, 9, 20, 40, 64, 100, size / 2, size - 100, size - 40, size - 20, size - 1].filter { $0 < size }
  }

  @Test(
    "are found wherever a bit is turned over, and named", arguments: ["packs", "metadata", "backups", "wal/00000001"])
  func verify(folder: String) throws {
    try TemporaryDirectory.run { directory in
      let (made, id) = try made(directory)
      let verifier = Verifier(repository: made.repository)
      let before = try verifier.verify(id, depth: .full, cancellation: Cancellation())
      #expect(before.isSound && before.objects == 4 && before.files > 5, "\(before)")
      #expect(try verifier.verify(id, depth: .presence, cancellation: Cancellation()).isSound)
      let name = try #require(try objects(made, folder).first)
      let path = "\(made.directory)/store/\(name)"
      for offset in try offsets(path) {
        let report = try flipping(path, at: offset) {
          try verifier.verify(id, depth: .full, cancellation: Cancellation())
        }
        #expect(report.damage.map(\.object) == [name], "offset \(offset): \(report.damage)")
      }
      #expect(try verifier.verify(id, depth: .full, cancellation: Cancellation()).isSound)
      // Missing, or shorter than it was: seen without reading.
      truncate(path, 2000)
      #expect(
        try !verifier.verify(id, depth: .presence, cancellation: Cancellation()).isSound || folder.hasPrefix("wal"))
      unlink(path)
      guard folder != "backups" else { return }
      let missing = try verifier.verify(id, depth: .presence, cancellation: Cancellation())
      #expect(missing.damage.map(\.object) == [name], "\(missing.damage)")
    }
  }

  @Test("are never restored", arguments: ["packs", "metadata", "backups"])
  func restore(folder: String) throws {
    try TemporaryDirectory.run { directory in
      let (made, _) = try made(directory)
      let name = try #require(try objects(made, folder).first)
      let path = "\(made.directory)/store/\(name)"
      let options = try made.options()
      for offset in try offsets(path) {
        try flipping(path, at: offset) {
          do {
            try made.restore(options)
            Issue.record("restored with a bit turned over at \(offset)")
          } catch let error as any OperatorError {
            let text = [error.summary, error.detail ?? ""].joined(separator: " ")
            let id = name.split(separator: "/").last!
            #expect(text.contains(folder == "backups" ? "\(id)" : name), "offset \(offset): \(text)")
          }
          #expect(access(options.directory + "/global/pg_control", F_OK) != 0)
        }
      }
      try made.restore(options)
    }
  }

  @Test("of WAL are answered so that PostgreSQL stops, never so that it promotes")
  func wal() throws {
    try TemporaryDirectory.run { directory in
      let (made, _) = try made(directory)
      try made.storeWAL(2, clock: 20)
      try made.storeWAL(3, upTo: 3000, clock: 30)
      try made.storeHistory(2, "1\t\(Made.lsn(9))\tx\n")
      let until = WALPosition(timeline: TimelineID(1), lsn: Made.lsn(3, 2000))
      let fetch = WALFetch(
        repository: made.repository, cluster: made.lineage.cluster, until: until, directory: directory)
      let target = directory + "/RECOVERYXLOG"
      func segment(_ number: UInt64, timeline: UInt32 = 1) throws -> String {
        WALSegment(timeline: TimelineID(timeline), number: number).name(size: try WALSegmentSize(bytes: Made.segment))
      }
      func fetched() throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: target))) }
      #expect(fetch.fetch(try segment(1), to: target).exitCode == 0)
      #expect(try fetched() == [UInt8](repeating: 0xAB, count: Int(Made.segment)))
      // The open segment, up to the planned end and no further, padded to its size.
      #expect(fetch.fetch(try segment(3), to: target).exitCode == 0)
      #expect(
        try fetched() == [UInt8](repeating: 0xAB, count: 2000) + [UInt8](repeating: 0, count: Int(Made.segment) - 2000))
      unlink(target)
      #expect(fetch.fetch(try segment(4), to: target).exitCode == 1)
      #expect(fetch.fetch(try segment(3, timeline: 2), to: target).exitCode == 1)
      #expect(fetch.fetch("00000002.history", to: target).exitCode == 0)
      #expect(fetch.fetch("00000003.history", to: target).exitCode == 1)
      #expect(fetch.fetch(try segment(0), to: target).exitCode == 126)
      for name in ["", "x", "../x.history", "0000000100000000000000ZZ", "000000010000000000000001.00000028.backup"] {
        #expect(fetch.fetch(name, to: target).exitCode == 126, "\(name)")
      }
      #expect(fetch.fetch(try segment(1), to: directory + "/no/where").exitCode == 126)
      let name = "\(made.lineage.prefix)/wal/00000001/\(try segment(2))"
      for offset in try offsets("\(directory)/store/\(name)") {
        let outcome = try flipping("\(directory)/store/\(name)", at: offset) { fetch.fetch(try segment(2), to: target) }
        #expect(outcome.exitCode == 126 && outcome.report?.description.contains(name) == true)
      }
      // A store that is away proves nothing.
      rename(directory + "/store", directory + "/away")
      for name in [try segment(4), "00000003.history", try segment(1)] {
        #expect(fetch.fetch(name, to: target).exitCode == 126, "\(name)")
      }
    }
  }

  @Test("do not hide behind checksums joined in any order")
  func checksums() throws {
    var bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 5) }
    bytes.append(1)
    let whole = bytes.withUnsafeBytes { FileChecksum.piece($0) }
    let page = SealedFormat.slotSize
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20 {
      var checksum = FileChecksum()
      for first in Array(stride(from: 0, to: bytes.count, by: page)).shuffled(using: &generator) {
        let end = min(first + page, bytes.count)
        let crc = bytes.withUnsafeBytes { FileChecksum.piece(UnsafeRawBufferPointer(rebasing: $0[first..<end])) }
        checksum.add(firstPage: UInt32(first / page), length: end - first, crc: crc)
      }
      #expect(checksum.value(size: UInt64(bytes.count)) == whole)
      #expect(checksum.value(size: UInt64(bytes.count) - 1) == nil)
    }
  }
}
