@testable import TarArchive

/// An archive as the parser reports it, with the content of its members.
struct Listing: Equatable {
  struct Entry: Equatable {
    var member: TarMember
    var content: [UInt8] = []
    var isEnded = false
  }
  var entries: [Entry] = []

  mutating func take(_ event: TarEvent) {
    switch event {
    case .member(let member): entries.append(Entry(member: member))
    case .data(let bytes): entries[entries.count - 1].content += Array(bytes)
    case .memberEnd: entries[entries.count - 1].isEnded = true
    }
  }

  /// Parses all bytes, fed in pieces of a size.
  init(_ bytes: [UInt8], piece: Int = .max) throws {
    var parser = TarParser(archive: "test.tar")
    var listing = Listing()
    var start = 0
    while start < bytes.count {
      let end = piece > bytes.count - start ? bytes.count : start + piece
      try bytes[start..<end].withUnsafeBytes { try parser.consume($0) { listing.take($0) } }
      start = end
    }
    try parser.finish()
    self = listing
  }
  private init() {}

  subscript(path: String) -> Entry? { entries.first { $0.member.path == path } }
  var paths: [String] { entries.map(\.member.path) }
}

/// Archives written byte by byte, for what no tar program writes.
enum RawTar {
  static let end = [UInt8](repeating: 0, count: 1024)

  static func header(
    _ name: String, type: Character = "0", size: String = "00000000000", link: String = "", mode: String = "0000644"
  ) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ offset: Int) {
      for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
    }
    put(name, 0)
    put(mode, 100)
    put("0000000", 108)
    put("0000000", 116)
    put(size, 124)
    put("00000000000", 136)
    put(String(type), 156)
    put(link, 157)
    put("ustar\u{0}00", 257)
    return sealed(block)
  }

  /// The block with a right checksum.
  static func sealed(_ block: [UInt8]) -> [UInt8] {
    var block = block
    for index in 148..<156 { block[index] = 0x20 }
    let digits = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
    let text = String(repeating: "0", count: 6 - digits.count) + digits + "\u{0} "
    for (index, byte) in text.utf8.enumerated() { block[148 + index] = byte }
    return block
  }

  static func padded(_ content: [UInt8]) -> [UInt8] {
    content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  static func file(_ name: String, _ content: [UInt8]) -> [UInt8] {
    let digits = String(content.count, radix: 8)
    return header(name, size: String(repeating: "0", count: 11 - digits.count) + digits) + padded(content)
  }
}
