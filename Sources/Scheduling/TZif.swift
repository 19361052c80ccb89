extension TimeZoneRules {
  /// Reads the bytes of a zone file, versions 1 to 4; whatever they are, it never traps.
  /// - Throws: ``SchedulingError/zoneInvalid(name:problem:)`` for anything that is not a complete zone file.
  /// - SeeAlso: RFC 8536, section 3.
  public init(name: String, tzif bytes: [UInt8]) throws(SchedulingError) {
    func invalid(_ problem: String) -> SchedulingError { .zoneInvalid(name: name, problem: problem) }
    guard let header = TZifHeader(bytes, at: 0) else { throw invalid("It does not begin as a zone file does.") }
    // From version 2 on the first block serves old readers; the second has 64-bit times.
    var block = (header: header, start: TZifHeader.size, timeSize: 4)
    if header.version >= 2 {
      let second = TZifHeader.size + header.blockSize(timeSize: 4)
      guard let next = TZifHeader(bytes, at: second) else { throw invalid("Its second header is missing.") }
      block = (next, second + TZifHeader.size, 8)
    }
    let end = block.start + block.header.blockSize(timeSize: block.timeSize)
    guard end <= bytes.count else { throw invalid("It ends too early.") }
    guard block.header.typeCount > 0 else { throw invalid("It names no local time type.") }

    let offsets = try Self.offsets(bytes, block.header, block.start, block.timeSize, name: name)
    var transitions: [Transition] = []
    transitions.reserveCapacity(block.header.timeCount)
    for index in 0..<block.header.timeCount {
      let at = TZifHeader.integer(bytes, block.start + index * block.timeSize, size: block.timeSize)
      let type = Int(bytes[block.start + block.header.timeCount * block.timeSize + index])
      guard at > transitions.last?.at ?? .min, type < offsets.count else {
        throw invalid("Its transitions are not in order or name no type.")
      }
      // Some files begin with the Big Bang; clamped, so that arithmetic near it cannot overflow.
      transitions.append(Transition(at: min(max(at, -(1 << 42) + Int64(index)), 1 << 42), offset: offsets[type]))
    }
    var footer: PosixZone?
    if block.timeSize == 8 {
      let rule = bytes[end...]
      guard rule.first == 0x0A, let close = rule.dropFirst().firstIndex(of: 0x0A) else {
        throw invalid("Its footer is missing.")
      }
      let text = String(decoding: rule[(end + 1)..<close], as: UTF8.self)
      if !text.isEmpty {
        guard let zone = PosixZone(text) else { throw invalid("Its footer is not a TZ rule.") }
        footer = zone
      }
    }
    self.init(name: name, transitions: transitions, initialOffset: offsets[0], footer: footer)
  }

  private static func offsets(
    _ bytes: [UInt8], _ header: TZifHeader, _ start: Int, _ timeSize: Int, name: String
  ) throws(SchedulingError) -> [Int] {
    let types = start + header.timeCount * (timeSize + 1)
    var offsets: [Int] = []
    for index in 0..<header.typeCount {
      let offset = TZifHeader.integer(bytes, types + index * 6, size: 4)
      guard (-25 * 3600 + 1..<26 * 3600).contains(offset) else {
        throw .zoneInvalid(name: name, problem: "It has an offset of \(offset) seconds.")
      }
      offsets.append(Int(offset))
    }
    return offsets
  }
}

/// The 44 bytes before each block.
private struct TZifHeader {
  static let size = 44
  var version: Int
  var localCount, standardCount, leapCount, timeCount, typeCount, characterCount: Int

  init?(_ bytes: [UInt8], at start: Int) {
    guard start >= 0, bytes.count >= start + Self.size, Array(bytes[start..<start + 4]) == Array("TZif".utf8) else {
      return nil
    }
    let letter = bytes[start + 4]
    version = letter == 0 ? 1 : max(Int(letter) - 0x30, 1)
    var counts: [Int] = []
    for index in 0..<6 {
      let count = Self.integer(bytes, start + 20 + index * 4, size: 4)
      guard (0...1 << 20).contains(count) else { return nil }
      counts.append(Int(count))
    }
    (localCount, standardCount, leapCount) = (counts[0], counts[1], counts[2])
    (timeCount, typeCount, characterCount) = (counts[3], counts[4], counts[5])
  }

  func blockSize(timeSize: Int) -> Int {
    timeCount * (timeSize + 1) + typeCount * 6 + characterCount + leapCount * (timeSize + 4) + standardCount
      + localCount
  }

  /// A signed big-endian integer; the caller has checked that it is there.
  static func integer(_ bytes: [UInt8], _ position: Int, size: Int) -> Int64 {
    var value: UInt64 = 0
    for byte in bytes[position..<position + size] { value = value << 8 | UInt64(byte) }
    return size == 4 ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value)
  }
}
