import BackupModel
import TestSupport
import Testing

@testable import TarArchive

@Suite("A tar stream") struct TarParserTests {
  static let small =
    RawTar.header("base/", type: "5") + RawTar.file("base/one", Array("hello".utf8)) + RawTar.file("base/none", [])
    + RawTar.header("pg_tblspc/16384/", type: "2", link: "/srv/space")
    + RawTar.file("base/two", [UInt8](repeating: 7, count: 1024)) + RawTar.end

  @Test("gives members, their data and their ends")
  func reportsMembers() throws {
    let listing = try Listing(Self.small)
    #expect(listing.paths == ["base", "base/one", "base/none", "pg_tblspc/16384", "base/two"])
    #expect(listing["base"]?.member.kind == .directory)
    #expect(listing["base/one"]?.content == Array("hello".utf8))
    #expect(listing["base/one"]?.member.mode == 0o644)
    #expect(listing["base/two"]?.content.count == 1024)
    #expect(listing["pg_tblspc/16384"]?.member.kind == .symbolicLink(target: "/srv/space"))
    #expect(!listing.entries.contains { !$0.isEnded })
  }

  @Test("means the same in pieces of any size", arguments: [1, 2, 7, 511, 512, 513, 1000])
  func isIndependentOfPieces(piece: Int) throws {
    let whole = try Listing(Self.small)
    let pieces = try Listing(Self.small, piece: piece)
    #expect(pieces == whole)
  }

  @Test("cut anywhere before its end is refused")
  func refusesEveryTruncation() throws {
    for length in 0..<Self.small.count {
      #expect(throws: TarError.self) { try Listing(Array(Self.small[..<length])) }
    }
  }

  @Test("names the member it was cut in")
  func namesTruncatedMember() throws {
    let cut = Array(Self.small[..<(512 + 512 + 3)])
    #expect(throws: TarError.truncated(TarPlace(archive: "test.tar", member: "base/one", offset: 512))) {
      try Listing(cut)
    }
    do {
      _ = try Listing(cut)
    } catch let error as TarError {
      #expect(error.summary == "cannot read member \"base/one\" of archive \"test.tar\" at byte 512")
    }
  }

  @Test("must end in two zero blocks, and in nothing else")
  func checksEnd() throws {
    let body = Array(Self.small.dropLast(1024))
    let oneBlock = body + [UInt8](repeating: 0, count: 512)
    #expect(throws: TarError.self) { try Listing(body) }
    #expect(throws: TarError.self) { try Listing(oneBlock) }
    #expect(throws: TarError.self) { try Listing(oneBlock + RawTar.file("x", []) + RawTar.end) }
    #expect(throws: TarError.dataAfterEnd(TarPlace(archive: "test.tar", member: nil, offset: Int64(Self.small.count))))
    {
      try Listing(Self.small + [1], piece: Self.small.count)
    }
    _ = try Listing(Self.small + [UInt8](repeating: 0, count: 8192))
  }

  @Test("keeps to paths inside it", arguments: ["/etc/passwd", "../x", "a/../../x", "a/..", ".."])
  func refusesPathsOutside(path: String) throws {
    #expect(throws: TarError.self) { try Listing(RawTar.file(path, []) + RawTar.end) }
  }

  @Test("gives paths without dots and double slashes")
  func normalizesPaths() throws {
    let listing = try Listing(
      RawTar.header("./", type: "5") + RawTar.file("./a//b/./c", []) + RawTar.file("..a/b..", []) + RawTar.end)
    #expect(listing.paths == [".", "a/b/c", "..a/b.."])
  }

  @Test("holds files, directories and symbolic links only", arguments: ["1", "3", "4", "6", "S", "V", "D", "M"])
  func refusesOtherKinds(type: Character) throws {
    let place = TarPlace(archive: "test.tar", member: "x", offset: 0)
    #expect(throws: TarError.kindRefused(place, type: type)) {
      try Listing(RawTar.header("x", type: type, link: "y") + RawTar.end)
    }
  }

  @Test("with a wrong header checksum is refused")
  func checksHeader() throws {
    var bytes = Self.small
    bytes[512 + 4] ^= 1
    #expect(throws: TarError.headerDamaged(TarPlace(archive: "test.tar", member: nil, offset: 512))) {
      try Listing(bytes)
    }
  }

  @Test("may have members above 8 GiB")
  func readsBase256Sizes() throws {
    var block = RawTar.header("huge")
    let size: Int64 = 12_345_678_901_234
    for index in 0..<12 { block[124 + index] = index < 4 ? 0 : UInt8(truncatingIfNeeded: size >> (8 * (11 - index))) }
    block[124] = 0x80
    var members: [TarMember] = []
    var parser = TarParser(archive: "test.tar")
    try RawTar.sealed(block).withUnsafeBytes { bytes in
      try parser.consume(bytes) { if case .member(let member) = $0 { members.append(member) } }
    }
    #expect(members.map(\.size) == [size])
    #expect(throws: TarError.self) { try parser.finish() }
  }

  @Test("with sizes that are no sizes is refused", arguments: ["-0000000001", "0000000008", "zzzzzzzzzzz"])
  func refusesBadSizes(size: String) throws {
    #expect(throws: TarError.self) { try Listing(RawTar.header("x", size: size) + RawTar.end) }
  }

  @Test("with a base-256 size out of range is refused", arguments: [0xFF, 0xC0, 0x81, 0xBF] as [UInt8])
  func refusesBadBase256(first: UInt8) throws {
    var block = RawTar.header("x")
    block[124] = first
    for index in 125..<136 { block[index] = 0xFF }
    #expect(throws: TarError.self) { try Listing(RawTar.sealed(block) + RawTar.end) }
  }

  @Test("passes on what the reader throws, once and for all")
  func passesOnErrors() throws {
    struct Stop: Error {}
    var parser = TarParser(archive: "test.tar")
    for _ in 0..<2 {
      #expect(throws: Stop.self) {
        try Self.small.withUnsafeBytes { try parser.consume($0) { _ in throw Stop() } }
      }
    }
    #expect(throws: Stop.self) { try parser.finish() }
  }

  @Test("damaged at random never stops the program")
  func survivesMutation() throws {
    var generator = SeededGenerator(seed: 42)
    let pax = Array("18 path=some/file\n".utf8)
    let source =
      RawTar.header("x", type: "x", size: "00000000022") + RawTar.padded(pax) + Self.small.dropLast(1024)
      + RawTar.header("L", type: "L", size: "00000000004") + RawTar.padded(Array("abcd".utf8)) + Self.small
    _ = try Listing(source)
    for _ in 0..<3000 {
      var bytes = source
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      // With their checksums made right again, damaged headers reach the code behind that check.
      for start in stride(from: 0, to: bytes.count - 511, by: 512) where bytes[start + 257] == UInt8(ascii: "u") {
        bytes.replaceSubrange(start..<start + 512, with: RawTar.sealed(Array(bytes[start..<start + 512])))
      }
      do {
        _ = try Listing(bytes, piece: Int.random(in: 1...2000, using: &generator))
      } catch is TarError {}
    }
  }
}
