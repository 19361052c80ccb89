internal import BackupModel
internal import Compression

/// Writes page maps into metadata packs. Used under its owner's lock.
///
/// Maps follow one another in a stream cut into frames of 256 KiB; a map never crosses from one pack into the next.
final class MetadataWriter {
  private let repository: Repository
  private let lineage: Lineage
  private let sender: PackSender
  private let compressor: ZstdCompressor
  private var open: (id: PackID, builder: SealedObjectBuilder)?
  private var pending = ByteWriter()
  /// The metadata packs written, after ``finish()``.
  private(set) var livePacks: [ManifestHeader.LivePack] = []

  init(repository: Repository, lineage: Lineage, sender: PackSender) throws {
    self.repository = repository
    self.lineage = lineage
    self.sender = sender
    compressor = try ZstdCompressor(level: 1)
  }

  func append(_ map: PageMap) throws -> PageMapReference {
    var encoded = ByteWriter()
    map.encode(into: &encoded)
    return try append(encoded)
  }

  func append(_ map: PieceMap) throws -> PageMapReference {
    var encoded = ByteWriter()
    map.encode(into: &encoded)
    return try append(encoded)
  }

  private func append(_ encoded: ByteWriter) throws -> PageMapReference {
    // As if nothing compressed: then it fits for certain.
    let worst = encoded.bytes.count + pending.bytes.count + (encoded.bytes.count / SealedFormat.maximumFrame + 2) * 1024
    if let (_, builder) = open, builder.size + worst > SealedFormat.maximumObject { try finish() }
    if open == nil {
      let id = PackID.random()
      let buffer = SealedBuffer(capacity: 1 << 20)
      open = (id, try repository.makeBuilder(.metadata, lineage.metadataPack(id), buffer: buffer))
    }
    let (id, builder) = open!
    let reference = PageMapReference(
      metadataPack: id, frame: builder.frameCount, offset: UInt32(pending.bytes.count),
      length: UInt32(encoded.bytes.count))
    pending.append(encoded.bytes)
    try flush(builder, keepingRest: true)
    return reference
  }

  func finish() throws {
    guard let (id, builder) = open else { return }
    try flush(builder, keepingRest: false)
    open = nil
    let frames = UInt64(builder.sealedFrameBytes)
    let buffer = try builder.finish()
    livePacks.append(.init(pack: id, kind: .metadata, size: UInt32(buffer.count), liveBytes: frames))
    try sender.send(lineage.metadataPack(id), buffer, pooled: false)
  }

  private func flush(_ builder: SealedObjectBuilder, keepingRest: Bool) throws {
    let size = SealedFormat.maximumFrame
    var position = 0
    try pending.bytes.withUnsafeBytes { bytes in
      while bytes.count - position >= size || (!keepingRest && position < bytes.count) {
        let end = min(position + size, bytes.count)
        _ = try builder.append(
          UnsafeRawBufferPointer(rebasing: bytes[position..<end]), role: .stream, with: compressor)
        position = end
      }
    }
    pending.bytes.removeFirst(position)
  }
}
