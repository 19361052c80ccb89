/// One 512-byte header block, its fields still raw.
/// - SeeAlso: POSIX, `pax`, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
struct TarHeader {
  static let size = 512
  let bytes: [UInt8]

  var type: UInt8 { bytes[156] }

  /// The sum of all bytes, the checksum's own field taken as spaces.
  var isChecksumRight: Bool {
    var sum = 8 * 0x20
    for index in 0..<Self.size where !(148..<156).contains(index) { sum += Int(bytes[index]) }
    return number(148..<156) == Int64(sum)
  }

  /// The name with ustar's prefix before it. GNU's own format (magic "ustar  ") has other things in that place.
  var name: [UInt8] {
    let name = text(0..<100)
    let prefix = Array(bytes[257..<263]) == Array("ustar\0".utf8) ? text(345..<500) : []
    return prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
  }
  var linkName: [UInt8] { text(157..<257) }
  var mode: Int64? { number(100..<108) }
  var user: Int64? { number(108..<116) }
  var group: Int64? { number(116..<124) }
  var contentSize: Int64? { number(124..<136) }
  var modified: Int64? { number(136..<148) }

  /// Up to the first NUL.
  private func text(_ range: Range<Int>) -> [UInt8] { Array(bytes[range].prefix { $0 != 0 }) }

  /// Octal digits between spaces and NULs, or base-256 where the first bit is set. Nil where it is neither.
  private func number(_ range: Range<Int>) -> Int64? {
    let field = bytes[range]
    guard let first = field.first else { return nil }
    if first & 0x80 != 0 { return Self.base256(field) }
    var value: UInt64 = 0
    var digits = field.drop { $0 == 0x20 }
    while let digit = digits.first, (0x30...0x37).contains(digit) {
      guard value >> 60 == 0 else { return nil }
      value = value << 3 | UInt64(digit - 0x30)
      digits = digits.dropFirst()
    }
    guard digits.allSatisfy({ $0 == 0x20 || $0 == 0 }) else { return nil }
    return Int64(exactly: value)
  }

  /// Two's complement, big-endian, the first bit a marker that takes the sign bit's place from the one behind it.
  private static func base256(_ field: ArraySlice<UInt8>) -> Int64? {
    var bytes = Array(field)
    let isNegative = bytes[0] & 0x40 != 0
    bytes[0] = isNegative ? bytes[0] | 0x80 : bytes[0] & 0x7F
    let filler: UInt8 = isNegative ? 0xFF : 0
    let (head, tail) = (bytes.dropLast(8), bytes.suffix(8))
    guard head.allSatisfy({ $0 == filler }), let top = tail.first, (top & 0x80 != 0) == isNegative else { return nil }
    return Int64(bitPattern: tail.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }
}
