import BackupModel
import BlockingWork
import Cryptography
import KeyManagement
import Storage
import TestSupport
import Testing

@testable import Repository

@Suite("A logical backup") struct LogicalBackupTests {
  @Test("gives every stream back as it was", arguments: [0, 1, 511, 512, 8192, 8193, 5_000_000])
  func roundTrip(size: Int) throws {
    try RepositoryFixture.run { fixture in
      let stream = Self.rows(size, seed: 1)
      let backup = try fixture.dump(["custom": stream, "globals": Array("CREATE ROLE a;".utf8)]).backup
      #expect(try fixture.stream("custom", of: backup.id) == stream)
      #expect(try fixture.stream("globals", of: backup.id) == Array("CREATE ROLE a;".utf8))
      #expect(backup.kind == .logical && backup.totalBytes.value == Int64(size + 14))
    }
  }

  @Test("takes over what did not change, and stores little more than what did") func takesOver() throws {
    try RepositoryFixture.run { fixture in
      let first = Self.rows(8_000_000, seed: 1)
      var second = first
      // Longer, shorter and moved: every later byte lies elsewhere.
      second.replaceSubrange(1_000_000..<1_000_010, with: Self.rows(5000, seed: 2))
      second.removeSubrange(4_000_000..<4_003_000)
      let one = try fixture.dump(["custom": first])
      let two = try fixture.dump(["custom": second])
      #expect(one.backup.newBytes == one.backup.totalBytes && two.backup.parent == one.backup.id)
      #expect(two.warnings.isEmpty && two.backup.newBytes.value < 100_000)
      #expect(two.backup.storedBytes.value < 150_000)
      #expect(try fixture.stream("custom", of: two.backup.id) == second)
      #expect(try fixture.stream("custom", of: one.backup.id) == first)
      let three = try fixture.dump(["custom": second])
      #expect(three.backup.newBytes.value == 0)
    }
  }

  @Test("is cut by several threads, and takes over what moved from one stream to another") func sideBySide() throws {
    try RepositoryFixture.run { fixture in
      let tables = (0..<7).map { Self.rows(3_000_000, seed: UInt64($0 + 1)) }
      func streams(_ shares: [[Int]]) -> [String: [UInt8]] {
        Dictionary(
          uniqueKeysWithValues: shares.enumerated().map { number, share in
            (number == 0 ? "custom" : "custom-\(number)", Array("head \(number)".utf8) + share.flatMap { tables[$0] })
          })
      }
      var last: BackupWriter.Committed?
      for shares in [[[0, 1, 2], [3, 4], [5, 6]], [[0, 6], [5, 1, 3], [2], [4]], [[6, 5, 4, 3, 2, 1, 0]]] {
        let wanted = streams(shares)
        let taken = try fixture.dump(wanted, .sideBySide)
        for (name, bytes) in wanted { #expect(try fixture.stream(name, of: taken.backup.id) == bytes) }
        if let last { #expect(taken.backup.parent == last.backup.id && taken.backup.newBytes.value < 300_000) }
        #expect(taken.warnings.isEmpty)
        #expect(try fixture.verify(taken.backup.id).isSound)
        last = taken
      }
    }
  }

  @Test("is found again far from where it was, by samples of its pieces") func moved() throws {
    let cutter = try PieceCutter(try DataKey.random())
    let fingerprinter = try DataKey.random().makeFingerprinter()
    let stream = Self.rows(40_000_000, seed: 5)
    var samples = PieceSamples()
    let pieces = try Self.pieces(of: stream, cutter, fingerprinter)
    let blocks = stride(from: 0, to: pieces.count, by: 1000).map { Array(pieces[$0..<min($0 + 1000, pieces.count)]) }
    for (number, block) in blocks.enumerated() { samples.add(block, in: UInt32(number)) }
    var writer = ByteWriter()
    samples.encode(into: &writer, order: blocks.indices.reversed())
    let read = try writer.bytes.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      return try PieceSamples(decoding: &reader, count: UInt32(samples.count))
    }
    for (number, block) in blocks.enumerated() {
      let position = blocks.count - 1 - number
      #expect(read.block(of: block[0].fingerprint) == position)
      let found = block.compactMap { read.block(of: $0.fingerprint) }
      #expect(found.allSatisfy { $0 == position } && found.count < 60)
    }
  }

  private static func pieces(
    of stream: [UInt8], _ cutter: borrowing PieceCutter, _ fingerprinter: borrowing PageFingerprinter
  ) throws -> [PieceCache.Piece] {
    try stream.withUnsafeBytes { bytes in
      var pieces: [PieceCache.Piece] = []
      var start = 0
      while start < bytes.count {
        let length = cutter.end(of: UnsafeRawBufferPointer(rebasing: bytes[start...]))
        let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + length)])
        var end = length
        var fingerprint = Fingerprint(low: 0, high: 0)
        try withUnsafePointer(to: &end) { end in
          try withUnsafeMutablePointer(to: &fingerprint) {
            try fingerprinter.fingerprint(
              pieces: UnsafeBufferPointer(start: end, count: 1), of: piece,
              into: UnsafeMutableBufferPointer(start: $0, count: 1))
          }
        }
        pieces.append(.init(fingerprint: fingerprint, frame: 0, offset: 0, length: UInt32(length), next: -1))
        start += length
      }
      return pieces
    }
  }

  @Test("rewrites frames that are mostly dead, and no more than is new") func rewrites() throws {
    try RepositoryFixture.run { fixture in
      var stream = Self.rows(4_000_000, seed: 1)
      var id: BackupID?
      for round in 0..<40 {
        for place in 0..<20 {
          let offset = (place * 200_000 + round * 4987) % (stream.count - 4000)
          stream.replaceSubrange(offset..<(offset + 300), with: Self.rows(300, seed: UInt64(round * 100 + place + 7)))
        }
        let backup = try fixture.dump(["custom": stream]).backup
        let header = try BackupCatalog(fixture.repository).readHeader(of: backup.id, fixture.lineage)
        #expect(try #require(header.dump).rewrittenBytes.value <= backup.newBytes.value)
        id = backup.id
      }
      #expect(try fixture.stream("custom", of: try #require(id)) == stream)
    }
  }

  @Test("without its cache stores everything anew, and says so") func cacheLost() throws {
    try RepositoryFixture.run { fixture in
      let stream = Self.rows(2_000_000, seed: 1)
      try fixture.dump(["custom": stream])
      var bytes = try fixture.cacheBytes()
      bytes[bytes.count / 3] ^= 1
      try fixture.writeCache(bytes)
      let damagedBlock = try fixture.dump(["custom": stream])
      #expect(damagedBlock.backup.newBytes == damagedBlock.backup.totalBytes && damagedBlock.warnings.count == 1)
      bytes.removeLast(100)
      try fixture.writeCache(bytes)
      #expect(try fixture.caches().parent().pieces == nil)
      #expect(try fixture.caches().parent().warnings.count == 1)
      try fixture.writeCache(nil)
      #expect(try fixture.caches().parent().warnings.count == 1)
    }
  }

  @Test("stores anew what a store lost, and takes nothing over from a deleted parent") func parentGone() throws {
    try RepositoryFixture.run { fixture in
      let stream = Self.rows(2_000_000, seed: 1)
      let first = try fixture.dump(["custom": stream]).backup
      for name in try fixture.files(below: "\(fixture.lineage.packsPrefix)") {
        try fixture.stores[0].delete(ObjectName(composed: fixture.lineage.packsPrefix + "/" + name))
      }
      let healed = try fixture.dump(["custom": stream]).backup
      #expect(healed.newBytes.value + 2_000_000 >= healed.totalBytes.value)
      #expect(try fixture.stream("custom", of: healed.id) == stream)
      _ = try BackupCatalog(fixture.repository).delete(first.id, reason: "test", cancellation: Cancellation())
      #expect(try fixture.caches().parent().pieces?.parent == healed.id)
    }
  }

  @Test("that is damaged is found by verify, and gives no byte that is not its own") func damage() throws {
    try RepositoryFixture.run { fixture in
      let stream = Self.rows(3_000_000, seed: 1)
      let backup = try fixture.dump(["custom": stream]).backup
      let sound = try fixture.verify(backup.id)
      #expect(sound.isSound && sound.bytes.value == 3_000_000)
      let name = try #require(try fixture.files(below: "\(fixture.lineage.packsPrefix)").first)
      let pack = ObjectName(composed: fixture.lineage.packsPrefix + "/" + name)
      var bytes = try fixture.bytes(pack)
      bytes[bytes.count / 2] ^= 1
      try fixture.replace(pack, with: bytes)
      let damaged = try fixture.verify(backup.id)
      #expect(damaged.damage.map(\.object) == [pack.text])
      #expect(throws: (any Error).self) { try fixture.stream("custom", of: backup.id) }
    }
  }

  @Test("is cut at the same places for the same key alone, in pieces of 512 bytes to 8 KiB, about 2 KiB") func cuts()
    throws
  {
    let stream = Self.rows(4_000_000, seed: 3)
    func ends() throws -> [Int] {
      let key = try DataKey.random()
      return try Self.ends(of: stream, key)
    }
    let key = try DataKey.random()
    let once = try Self.ends(of: stream, key)
    #expect(try Self.ends(of: stream, key) == once)
    #expect(Set(once).intersection(try ends()).count < once.count / 4)
    let lengths = zip(once, [0] + once).map { $0 - $1 }
    #expect(lengths.dropLast().allSatisfy { (512...8192).contains($0) })
    let mean = stream.count / lengths.count
    #expect((1500...3000).contains(mean))
    // What is put in moves the ends of its own pieces alone.
    let moved = try Self.ends(of: Array("something new".utf8) + stream, key).map { $0 - 13 }
    #expect(Set(moved).intersection(once).count > once.count - 8)
  }

  @Test("is refused where its piece map cannot be", arguments: 0..<200) func brokenMap(seed: Int) throws {
    var map = PieceMap()
    map.packs = [PackID.random()]
    map.frames = [.init(pack: 0, location: .init(number: 0, offset: 64, sealedLength: 100, plainLength: 9000))]
    map.runs = [.init(frame: 0, offset: 0, length: 5000), .init(frame: 0, offset: 6000, length: 3000)]
    var writer = ByteWriter()
    map.encode(into: &writer)
    var bytes = writer.bytes
    let whole = bytes
    bytes[(seed * 7919) % bytes.count] ^= UInt8(1 << (seed % 8))
    if seed % 5 == 0 { bytes.removeLast(seed % bytes.count) }
    for input in [whole, bytes] {
      let decoded = try? input.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        return try PieceMap(decoding: &reader)
      }
      if input == whole { #expect(decoded == map && decoded?.covers(bytes: 8000) == true) }
      // Whatever it says, what is accepted can be read without a trap.
      if let decoded, decoded.covers(bytes: 8000) {
        #expect(decoded.runs.allSatisfy { $0.offset + $0.length <= decoded.frames[Int($0.frame)].location.plainLength })
      }
    }
  }

  static func ends(of stream: [UInt8], _ key: DataKey) throws -> [Int] {
    let cutter = try PieceCutter(key)
    return stream.withUnsafeBytes { bytes in
      var ends: [Int] = []
      var start = 0
      while start < bytes.count {
        start += cutter.end(of: UnsafeRawBufferPointer(rebasing: bytes[start...]))
        ends.append(start)
      }
      return ends
    }
  }

  /// Text that resembles rows of a table, the same for the same seed.
  static func rows(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 64)
    var number = 0
    while bytes.count < count {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      bytes.append(contentsOf: "\(number)\t\(state)\tuser\(state >> 40)@example.com\tactive\n".utf8)
      number += 1
    }
    return Array(bytes[..<count])
  }
}
