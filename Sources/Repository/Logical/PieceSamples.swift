internal import Cryptography

/// Some of the pieces of a backup, by which its parts are found again wherever their content has moved to.
///
/// The first pieces of every block, and of the others one in 64, or fewer so that memory stays the same for any size.
struct PieceSamples: Sendable {
  private struct Sample {
    /// Half of the fingerprint: what is found by it is compared whole.
    var key: UInt64
    var block: UInt32
  }

  static let most = 1 << 18
  private static let firstPieces = 4
  private static let size = 12

  private var first: [Sample] = []
  private var others: [Sample] = []
  private var mask: UInt64 = 63

  init() {}

  var count: Int { first.count + others.count }

  mutating func add(_ pieces: [PieceCache.Piece], in block: UInt32) {
    for (index, piece) in pieces.enumerated() {
      let key = piece.fingerprint.high
      if index < Self.firstPieces {
        first.append(Sample(key: key, block: block))
      } else if key & mask == 0 {
        others.append(Sample(key: key, block: block))
      }
    }
    while others.count > Self.most {
      mask = mask << 1 | 1
      others.removeAll { [mask] in $0.key & mask != 0 }
    }
  }

  /// The block that a piece is likely to lie in.
  func block(of fingerprint: Fingerprint) -> Int? {
    var (low, high) = (0, first.count)
    while low < high {
      let middle = (low + high) / 2
      if first[middle].key < fingerprint.high { low = middle + 1 } else { high = middle }
    }
    guard low < first.count, first[low].key == fingerprint.high else { return nil }
    return Int(first[low].block)
  }

  /// - Parameter order: The numbers that blocks were added under, in the order they are listed in.
  func encode(into writer: inout ByteWriter, order: [Int]) {
    var positions = [UInt32](repeating: 0, count: order.count)
    for (position, number) in order.enumerated() { positions[number] = UInt32(position) }
    for sample in (first + others).sorted(by: { ($0.key, $0.block) < ($1.key, $1.block) }) {
      writer.append(sample.key)
      writer.append(positions[Int(sample.block)])
    }
  }

  init(decoding reader: inout ByteReader, count: UInt32) throws(ByteReader.Malformed) {
    guard Int(count) * Self.size <= reader.remaining else { throw ByteReader.Malformed(what: "it ends within samples") }
    first.reserveCapacity(Int(count))
    for _ in 0..<count {
      first.append(Sample(key: try reader.integer("a sample"), block: try reader.integer("a sample")))
    }
  }
}
