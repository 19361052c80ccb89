internal import KeyManagement

/// Cuts a stream into pieces where its content says so: bytes put in or taken out move the ends of their own pieces alone.
///
/// A rolling hash over a table that follows from the fingerprint secret. Pieces are between 512 bytes and 8 KiB, about 2 KiB
/// as a rule: up to 2 KiB an end is less likely than behind, which makes lengths more even.
/// - SeeAlso: Xia and others, "FastCDC", USENIX ATC 2016: gear hash, normalised chunking.
struct PieceCutter: ~Copyable {
  static let minimum = 512
  static let usual = 2 << 10
  static let maximum = 8 << 10
  /// 13 bits before the usual length, 9 behind.
  private static let strict: UInt64 = 0xFFF8_0000_0000_0000
  private static let lenient: UInt64 = 0xFF80_0000_0000_0000

  private let gear: UnsafeMutablePointer<UInt64>

  init(_ key: DataKey) throws {
    let bytes = try key.pieceBoundaryBytes(256 * 8)
    gear = .allocate(capacity: 256)
    bytes.withUnsafeBytes { bytes in
      for index in 0..<256 {
        (gear + index).initialize(
          to: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)))
      }
    }
  }

  deinit { gear.deallocate() }

  /// Where the first piece ends.
  /// - Parameter bytes: From the beginning of the piece to the end of the stream, or at least ``maximum`` of it.
  func end(of bytes: UnsafeRawBufferPointer) -> Int {
    let limit = min(bytes.count, Self.maximum)
    guard limit > Self.minimum, let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return limit }
    var hash: UInt64 = 0
    var position = Self.minimum
    let usual = min(Self.usual, limit)
    while position < usual {
      hash = (hash << 1) &+ gear[Int(start[position])]
      position &+= 1
      if hash & Self.strict == 0 { return position }
    }
    while position < limit {
      hash = (hash << 1) &+ gear[Int(start[position])]
      position &+= 1
      if hash & Self.lenient == 0 { return position }
    }
    return limit
  }
}
