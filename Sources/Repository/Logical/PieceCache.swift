internal import BackupModel
internal import Cryptography
internal import DurableFiles
import Foundation

/// The pieces of the newest backup of one job, in their order, and where each lies: local state, derived, replaced as a
/// whole when a backup commits.
///
/// The file: a block for each part of a stream (its frames, then its pieces), then packs, blocks in the order of the parts'
/// paths, samples and a description in JSON, then a footer. Everything read is covered by a CRC-32C: a damaged block costs pieces stored anew, never a piece taken for
/// another. It is nobody's but this program's, and may change with any version.
enum PieceCache {
  static let magic: UInt64 = 0x3145_4345_4950_4B42  // "BKPIECE1"
  static let footerSize = 32

  /// As it lies in the file, and in memory with the number of the next of its chain.
  struct Piece {
    var fingerprint: Fingerprint
    /// Index into the frames of its block.
    var frame: UInt32
    var offset: UInt32
    var length: UInt32
    var next: Int32
    static let size = 32
  }

  struct Frame: Hashable {
    /// Index into the file's packs.
    var pack: UInt32
    var location: FrameLocation
    /// Bytes of it that this part uses.
    var live: UInt32
    static let size = 24

    func encode(into writer: inout ByteWriter) {
      PageMap.Frame(pack: pack, location: location).encode(into: &writer)
      writer.append(live)
    }
    init(pack: UInt32, location: FrameLocation, live: UInt32) {
      self.pack = pack
      self.location = location
      self.live = live
    }
    init(decoding reader: inout ByteReader) throws(ByteReader.Malformed) {
      let frame = try PageMap.Frame(decoding: &reader, "a frame")
      self.init(pack: frame.pack, location: frame.location, live: try reader.integer("a frame"))
    }
  }

  struct Block {
    var offset: UInt64
    var frames: UInt32
    var pieces: UInt32
    var checksum: UInt32
    static let size = 20
    var byteCount: Int { Int(frames) * Frame.size + Int(pieces) * Piece.size }
    /// Bytes it takes where it is looked through: with its chains.
    var memory: Int { byteCount + Int(pieces) * 8 }
  }

  struct Pack {
    var id: PackID
    var size: UInt32
    static let encodedSize = 20
  }

  struct Description: Codable {
    static let current = 2
    var version = Self.current
    var repository: RepositoryID
    var cluster: ClusterID
    var systemIdentifier: SystemIdentifier
    var backup: BackupID
  }
}

/// Writes the cache of the backup that is being made.
struct PieceCacheWriter: ~Copyable {
  private let file: Descriptor
  private var position: UInt64 = 0
  private var blocks: [(path: String, block: PieceCache.Block)] = []
  private var samples = PieceSamples()

  init(path: String) throws { file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC) }

  /// - Parameter path: Of the part, by which the next run finds its neighbours.
  mutating func append(_ path: String, _ frames: [PieceCache.Frame], _ pieces: [PieceCache.Piece]) throws {
    var writer = ByteWriter()
    for frame in frames { frame.encode(into: &writer) }
    let checksum = try pieces.withUnsafeBytes { pieces in
      var crc = CRC32C()
      writer.bytes.withUnsafeBytes { crc.update($0) }
      crc.update(pieces)
      try writer.bytes.withUnsafeBytes { try file.writeAll($0) }
      try file.writeAll(pieces)
      return crc.value
    }
    samples.add(pieces, in: UInt32(blocks.count))
    let block = PieceCache.Block(
      offset: position, frames: UInt32(frames.count), pieces: UInt32(pieces.count), checksum: checksum)
    blocks.append((path, block))
    position += UInt64(block.byteCount)
  }

  /// Makes the file durable. It is used once it has its name.
  mutating func finish(_ packs: [PieceCache.Pack], _ description: PieceCache.Description) throws {
    var tail = ByteWriter()
    for pack in packs {
      tail.append(bigEndian: pack.id)
      tail.append(pack.size)
    }
    let order = blocks.indices.sorted { blocks[$0].path.utf8.lexicographicallyPrecedes(blocks[$1].path.utf8) }
    for block in order.map({ blocks[$0].block }) {
      tail.append(block.offset)
      tail.append(block.frames)
      tail.append(block.pieces)
      tail.append(block.checksum)
    }
    samples.encode(into: &tail, order: order)
    tail.append(Array(try JSONEncoder().encode(description)))
    let checksum = tail.bytes.withUnsafeBytes { CRC32C.checksum($0) }
    tail.append(position)
    tail.append(UInt32(packs.count))
    tail.append(UInt32(blocks.count))
    tail.append(checksum)
    tail.append(UInt32(samples.count))
    tail.append(PieceCache.magic)
    try tail.bytes.withUnsafeBytes { try file.writeAll($0) }
    try file.sync()
  }
}
