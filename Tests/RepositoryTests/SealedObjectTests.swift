import BackupModel
import Storage
import Testing

@testable import Repository

@Suite("Sealed objects") struct SealedObjectTests {
  private func read(_ fixture: RepositoryFixture, _ kind: ObjectKind, _ name: ObjectName) throws -> [UInt8] {
    try fixture.repository.read(kind, name) { try $0.readStream() }
  }

  /// Whether an error is one an operator can place: it names the object.
  private func names(_ error: any Error, _ name: ObjectName) -> Bool {
    guard let error = error as? RepositoryError else { return false }
    return error.summary.contains(name.text)
  }

  @Test("give back what was sealed, frame by frame")
  func roundTrip() throws {
    try RepositoryFixture.run { fixture in
      for (number, count) in [0, 1, 262_143, 262_144, 262_145, 1_000_000].enumerated() {
        let name = fixture.lineage.metadataPack(PackID(high: 0, low: UInt64(number)))
        let plain = (0..<count).map { _ in UInt8.random(in: 0...255) }
        _ = try fixture.seal(.metadata, name, frames: [plain])
        #expect(try read(fixture, .metadata, name) == plain)
      }
    }
  }

  @Test("are refused by name with any byte changed")
  func everyByte() throws {
    try RepositoryFixture.run { fixture in
      let name = fixture.lineage.metadataPack(.random())
      let good = try fixture.seal(.metadata, name, frames: [Array("first frame".utf8), Array("second".utf8)])
      for index in good.indices {
        for bit in [UInt8(1), 0x80] {
          var changed = good
          changed[index] ^= bit
          try fixture.replace(name, with: changed)
          #expect("byte \(index)") { try read(fixture, .metadata, name) } throws: { names($0, name) }
        }
      }
      for length in good.indices {
        try fixture.replace(name, with: Array(good[..<length]))
        #expect("cut to \(length)") { try read(fixture, .metadata, name) } throws: { names($0, name) }
      }
      try fixture.replace(name, with: good + [0])
      #expect { try read(fixture, .metadata, name) } throws: { names($0, name) }
    }
  }

  @Test("do not open under another name, as another kind, in another lineage or another repository")
  func moved() throws {
    try RepositoryFixture.run { fixture in
      let name = fixture.lineage.metadataPack(.random())
      let good = try fixture.seal(.metadata, name, frames: [[1, 2, 3]])
      let elsewhere = Lineage(cluster: fixture.lineage.cluster, systemIdentifier: SystemIdentifier(8))
      for other in [
        fixture.lineage.metadataPack(.random()), elsewhere.metadataPack(try PackID(name.lastComponent)),
        fixture.lineage.pack(try PackID(name.lastComponent)),
      ] {
        try fixture.replace(other, with: good)
        #expect { try read(fixture, .metadata, other) } throws: { names($0, other) }
        #expect { try read(fixture, .pack, other) } throws: { names($0, other) }
      }
      // Another kind in the plain header, too: the key is still of the kind it was sealed as.
      var relabelled = good
      relabelled[10] = UInt8(ObjectKind.pack.rawValue)
      let pack = fixture.lineage.pack(try PackID(name.lastComponent))
      try fixture.replace(pack, with: relabelled)
      #expect { try read(fixture, .pack, pack) } throws: { names($0, pack) }
      try RepositoryFixture.run { second in
        try second.replace(name, with: good)
        #expect { try read(second, .metadata, name) } throws: { names($0, name) }
      }
    }
  }

  @Test("of a format version from the future are refused as such")
  func unknownVersion() throws {
    try RepositoryFixture.run { fixture in
      let name = fixture.lineage.metadataPack(.random())
      var bytes = try fixture.seal(.metadata, name, frames: [[1]])
      bytes[8] = 2
      try fixture.replace(name, with: bytes)
      #expect {
        try read(fixture, .metadata, name)
      } throws: { error in
        guard case RepositoryError.formatUnknown(let found, _, 2, 1) = error else { return false }
        return found == name.text
      }
    }
  }

  @Test("sealed twice share no key: the same bytes under the same name differ")
  func freshKeys() throws {
    try RepositoryFixture.run { fixture in
      let name = fixture.lineage.metadataPack(.random())
      let first = try fixture.seal(.metadata, name, frames: [[1, 2, 3]])
      let second = try fixture.seal(.metadata, name, frames: [[1, 2, 3]])
      #expect(first[32..<64] != second[32..<64] && first[64...] != second[64...])
    }
  }

  @Test("never trap, whatever the bytes are")
  func mutations() throws {
    try RepositoryFixture.run { fixture in
      let name = fixture.lineage.metadataPack(.random())
      let good = try fixture.seal(.metadata, name, frames: [Array("first frame".utf8), Array("second".utf8)])
      for _ in 0..<600 {
        var changed = good
        // Header and footer above all: they are plain.
        let places = Array(0..<24) + Array((good.count - 32)..<(good.count - 8))
        for _ in 0..<Int.random(in: 1...6) {
          changed[places.randomElement()!] = [0, 1, 0x7F, 0x80, 0xFF, .random(in: 0...255)].randomElement()!
        }
        if Bool.random() { changed.removeSubrange(64..<Int.random(in: 64...(good.count - 32))) }
        guard changed != good else { continue }
        try fixture.replace(name, with: changed)
        #expect { try read(fixture, .metadata, name) } throws: { names($0, name) }
      }
    }
  }

  @Test("decoders of what was sealed take any bytes without trapping")
  func decoders() throws {
    var map = PageMap()
    map.packs = [.random(), .random()]
    let location = FrameLocation(number: 1, offset: 64, sealedLength: 100, plainLength: 262_144)
    map.frames = [.init(pack: 0, location: location), .init(pack: 1, location: location)]
    map.runs = [.init(firstPage: 0, count: 3, frame: 0, slot: 0), .init(firstPage: 3, count: 2, frame: 1, slot: 5)]
    var encodedMap = ByteWriter()
    map.encode(into: &encodedMap)
    var encodedFile = ByteWriter()
    let reference = PageMapReference(metadataPack: .random(), frame: 1, offset: 2, length: 3)
    ManifestFile(
      path: "base/5/1259", kind: .file, mode: 0o600, modified: 1, size: 8192, checksum: 7, pageMap: reference
    ).encode(into: &encodedFile)
    for _ in 0..<20_000 {
      var bytes = encodedMap.bytes
      Self.mutate(&bytes)
      bytes.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        guard let map = try? PageMap(decoding: &reader) else { return }
        _ = map.covers(pages: 5)
      }
      bytes = encodedFile.bytes
      Self.mutate(&bytes)
      bytes.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        guard let file = try? ManifestFile(decoding: &reader) else { return }
        _ = file.pages
        #expect(!file.path.utf8.contains(0) && !file.path.split(separator: "/").contains(".."))
      }
    }
  }

  private static func mutate(_ bytes: inout [UInt8]) {
    for _ in 0..<Int.random(in: 0...4) {
      bytes[Int.random(in: bytes.indices)] = [0, 1, 0x7F, 0x80, 0xFF, .random(in: 0...255)].randomElement()!
    }
    if Int.random(in: 0..<4) == 0 { bytes.removeLast(Int.random(in: 0...bytes.count)) }
    if bytes.isEmpty { bytes = [0] }
  }

  @Test("a page map that names a page twice, none, or slots beyond a frame does not cover its file")
  func coverage() {
    let location = FrameLocation(number: 0, offset: 64, sealedLength: 50, plainLength: 3 * 8192)
    func covers(_ runs: [(UInt32, UInt32, UInt32, UInt32)], pages: UInt64) -> Bool {
      var map = PageMap()
      map.packs = [.random()]
      map.frames = [.init(pack: 0, location: location), .init(pack: 1, location: location)]
      map.runs = runs.map { .init(firstPage: $0.0, count: $0.1, frame: $0.2, slot: $0.3) }
      return map.covers(pages: pages)
    }
    #expect(covers([(0, 3, 0, 0)], pages: 3))
    #expect(covers([(0, 1, 0, 2), (1, 1, 0, 0)], pages: 2))
    for wrong in [
      [(0, 3, 0, 1)], [(0, 2, 0, 0)], [(1, 2, 0, 0)], [(0, 2, 0, 0), (1, 2, 0, 0)], [(0, 3, 1, 0)], [(0, 3, 2, 0)],
      [(0, 0, 0, 0), (0, 3, 0, 0)], [(0, .max, 0, .max)], [(0, 3, .max, 0)],
    ] as [[(UInt32, UInt32, UInt32, UInt32)]] {
      #expect(!covers(wrong, pages: 3), "\(wrong)")
    }
  }
}
