internal import BackupModel
internal import Cryptography

/// The CRC-32C of a whole file, from pieces that come in any order.
///
/// Each piece is hashed where it is in the processor's cache; joining two checksums takes well under a microsecond. So
/// a restored file is proven without being read back.
public struct FileChecksum: Sendable {
  private struct Piece {
    var firstPage: UInt32
    var crc: UInt32
    var length: UInt64
  }
  private var pieces: [Piece] = []

  public init() {}

  /// The checksum of one piece, computed by whoever holds the bytes.
  public static func piece(_ bytes: UnsafeRawBufferPointer) -> UInt32 { CRC32C.checksum(bytes) }

  /// - Parameters:
  ///   - firstPage: Where the piece begins, in pages of 8 KiB.
  ///   - length: In bytes; whole pages, except at the file's end.
  public mutating func add(firstPage: UInt32, length: Int, crc: UInt32) {
    let end = UInt64(firstPage) * UInt64(SealedFormat.slotSize)
    if let last = pieces.last,
      UInt64(last.firstPage) * UInt64(SealedFormat.slotSize) + last.length == end
    {
      // Neighbours in order, the common case: one piece, however large the file.
      let joined = ChecksumShift.join(last.crc, crc, length: UInt64(length))
      pieces[pieces.count - 1] = Piece(
        firstPage: last.firstPage, crc: joined, length: last.length + UInt64(length))
    } else {
      pieces.append(Piece(firstPage: firstPage, crc: crc, length: UInt64(length)))
    }
  }

  /// The checksum of the file; nil where the pieces are not the file's `size` bytes, each once.
  public func value(size: UInt64) -> UInt32? {
    var crc: UInt32 = 0
    var end: UInt64 = 0
    for piece in pieces.sorted(by: { $0.firstPage < $1.firstPage }) {
      guard UInt64(piece.firstPage) * UInt64(SealedFormat.slotSize) == end else { return nil }
      crc = ChecksumShift.join(crc, piece.crc, length: piece.length)
      end += piece.length
    }
    return end == size ? crc : nil
  }
}

/// What a checksum becomes when zeros follow: linear maps over bits, one for each power of two of zero bytes.
///
/// - SeeAlso: zlib's `crc32_combine`, whose method this is.
private enum ChecksumShift {
  typealias Matrix = [UInt32]

  static func join(_ first: UInt32, _ second: UInt32, length: UInt64) -> UInt32 {
    var shifted = first
    var rest = length
    while rest != 0 {
      shifted = apply(matrices[rest.trailingZeroBitCount], shifted)
      rest &= rest - 1
    }
    return shifted ^ second
  }

  private static func apply(_ matrix: Matrix, _ value: UInt32) -> UInt32 {
    matrix.withUnsafeBufferPointer { matrix in
      var result: UInt32 = 0
      var rest = value
      while rest != 0 {
        result ^= matrix[rest.trailingZeroBitCount]
        rest &= rest - 1
      }
      return result
    }
  }

  /// Element `n` stands for 2^n zero bytes: enough for any length.
  private static let matrices: [Matrix] = {
    // One zero bit: each bit moves down, the lowest brings in the polynomial.
    var matrix: Matrix = [0x82F6_3B78] + (0..<31).map { UInt32(1) << $0 }
    for _ in 0..<3 { matrix = square(matrix) }
    var all: [Matrix] = []
    for _ in 0..<64 {
      all.append(matrix)
      matrix = square(matrix)
    }
    return all
  }()

  private static func square(_ matrix: Matrix) -> Matrix { matrix.map { apply(matrix, $0) } }
}
