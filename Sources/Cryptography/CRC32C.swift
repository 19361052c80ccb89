internal import COpenSSL

/// CRC-32C (Castagnoli), as PostgreSQL's manifests and `pg_control` use it.
/// - SeeAlso: RFC 3720, appendix B.4; PostgreSQL source, `pg_crc32c.h`.
public struct CRC32C: Sendable, Hashable {
  private var state: UInt32 = 0xFFFF_FFFF

  public init() {}

  /// The checksum of everything so far.
  public var value: UInt32 { ~state }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    if Self.hasHardware {
      updateHardware(start.assumingMemoryBound(to: UInt8.self), bytes.count)
    } else {
      updateBytewise(bytes)
    }
  }

  /// For machines without the instruction.
  mutating func updateBytewise(_ bytes: UnsafeRawBufferPointer) {
    for byte in bytes { state = Self.byteTable[Int((state ^ UInt32(byte)) & 0xFF)] ^ (state >> 8) }
  }

  public static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32C()
    crc.update(bytes)
    return crc.value
  }

  /// Three runs at once, joined by shifting the earlier ones over the zeros that stand for the later: the instruction
  /// has a latency of three cycles and a throughput of one.
  private mutating func updateHardware(_ start: UnsafePointer<UInt8>, _ count: Int) {
    var position = start
    var left = count
    let run = Self.run
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 3) { parts in
      while left >= 3 * run {
        backupd_crc32c_three(state, position, run, parts.baseAddress)
        state = Self.shift(Self.shift(parts[0]) ^ parts[1]) ^ parts[2]
        position += 3 * run
        left -= 3 * run
      }
    }
    state = backupd_crc32c_hardware(state, position, left)
  }

  private static let run = 2728
  private static let hasHardware = backupd_crc32c_has_hardware() != 0

  /// What a state becomes when `run` zero bytes follow: a linear map, kept as four tables of 256.
  private static func shift(_ state: UInt32) -> UInt32 {
    shiftTable.withUnsafeBufferPointer { table in
      table[Int(state & 0xFF)] ^ table[256 + Int(state >> 8 & 0xFF)] ^ table[512 + Int(state >> 16 & 0xFF)]
        ^ table[768 + Int(state >> 24)]
    }
  }

  private static let byteTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0x82F6_3B78 ^ (value >> 1) : value >> 1 }
  }

  private static let shiftTable: [UInt32] = {
    func zeros(_ state: UInt32) -> UInt32 {
      (0..<run).reduce(state) { value, _ in byteTable[Int(value & 0xFF)] ^ (value >> 8) }
    }
    let bits: [UInt32] = (0..<32).map { (bit: UInt32) -> UInt32 in zeros(UInt32(1) << bit) }
    var table = [UInt32](repeating: 0, count: 1024)
    for entry in 0..<1024 {
      for bit in 0..<8 where entry & (1 << bit) != 0 { table[entry] ^= bits[entry / 256 * 8 + bit] }
    }
    return table
  }()
}
