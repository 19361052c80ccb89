internal import BackupModel
public import BlockingWork
internal import Cryptography

/// Reads the streams of a logical backup. Used by one thread.
public final class DumpReader {
  /// Frames kept open: a stream comes back to those of earlier backups again and again, each for a few MiB.
  public static let openFrames = 192

  private struct Key: Hashable {
    var pack: PackID
    var frame: UInt32
  }
  private struct OpenFrame {
    var bytes: [UInt8]
    var used: UInt64
  }

  private let reader: BackupReader
  private let packs: PackReader
  private let openFrames: Int
  private var frames: [Key: OpenFrame] = [:]
  private var clock: UInt64 = 0

  public var header: ManifestHeader { reader.header }

  /// - Parameter openFrames: 256 KiB of memory each.
  /// - Throws: ``RepositoryError/notLogical(_:)`` for a backup of another kind.
  public init(_ reader: BackupReader, openFrames: Int = DumpReader.openFrames) throws {
    guard reader.header.kind == .logical else { throw RepositoryError.notLogical(reader.header.id) }
    self.reader = reader
    packs = try PackReader(PackHeaders(reader.repository, reader.lineage))
    self.openFrames = openFrames
  }

  /// The names of all streams.
  public func streams() throws -> Set<String> {
    var names: Set<String> = []
    try reader.forEachFile { if $0.kind == .streamPart { names.insert(String($0.path.prefix { $0 != "/" })) } }
    return names
  }

  /// The parts of a stream in their order.
  public func parts(of stream: String) throws -> [ManifestFile] {
    var parts: [ManifestFile] = []
    try reader.forEachFile { if $0.kind == .streamPart, $0.path.hasPrefix(stream + "/") { parts.append($0) } }
    return parts
  }

  /// Hands out the bytes of a stream in their order; each part is proven by its checksum when its last bytes are out.
  /// - Throws: ``RepositoryError/damaged(_:in:reason:)``, `StorageError`: what was handed out before is no whole dump.
  public func read(
    _ stream: String, cancellation: Cancellation, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    for part in try parts(of: stream) { try read(part, cancellation: cancellation, body) }
  }

  func read(
    _ part: ManifestFile, cancellation: Cancellation, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let map = try reader.pieceMap(of: part)
    var checksum = CRC32C()
    for run in map.runs {
      try cancellation.check()
      try withFrame(map.frames[Int(run.frame)], of: map) { frame in
        let bytes = UnsafeRawBufferPointer(rebasing: frame[Int(run.offset)..<Int(run.offset + run.length)])
        checksum.update(bytes)
        try body(bytes)
      }
    }
    guard checksum.value == part.checksum else {
      throw RepositoryError.damaged(
        reader.lineage.manifest(reader.header.id), in: reader.repository.stores[0].id,
        reason: "The content of \"\(part.path)\" does not have the checksum it records.")
    }
  }

  private func withFrame(
    _ frame: PageMap.Frame, of map: PieceMap, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let key = Key(pack: map.packs[Int(frame.pack)], frame: frame.location.number)
    clock += 1
    if let index = frames.index(forKey: key) {
      frames.values[index].used = clock
      return try frames.values[index].bytes.withUnsafeBytes(body)
    }
    if frames.count >= openFrames, let oldest = frames.min(by: { $0.value.used < $1.value.used }) {
      frames[oldest.key] = nil
    }
    var bytes: [UInt8] = []
    try packs.read(key.pack, [frame.location]) { _, plain in bytes = Array(plain) }
    frames[key] = OpenFrame(bytes: bytes, used: clock)
    try bytes.withUnsafeBytes(body)
  }
}

extension BackupReader {
  /// Where the bytes of a part of a stream lie.
  /// - Throws: ``RepositoryError/damaged(_:in:reason:)`` where the map does not cover the part exactly.
  public func pieceMap(of part: ManifestFile) throws -> PieceMap {
    let map = try part.pageMap.flatMap { reference in
      let bytes = try metadataBytes(reference, lineage.metadataPack(reference.metadataPack))
      return try? bytes.withUnsafeBytes { bytes in
        var input = ByteReader(bytes)
        return try PieceMap(decoding: &input)
      }
    }
    guard let map, map.covers(bytes: part.size) else {
      throw RepositoryError.damaged(
        part.pageMap.map { lineage.metadataPack($0.metadataPack) } ?? lineage.manifest(header.id),
        in: repository.stores[0].id, reason: "The piece map of \"\(part.path)\" does not describe it.")
    }
    return map
  }
}
