internal import BackupModel
internal import Compression
import Foundation
internal import Storage

/// Writes a manifest: the header in frames of its own, then the packs, then the entries sorted by path.
struct ManifestWriter {
  let repository: Repository
  let lineage: Lineage

  /// Entries go into a part once this much is sealed, so that no object passes 32 MiB.
  var partSize = 24 << 20
  /// An entry takes about 100 bytes before compression: up to so many, one object holds them all.
  var entriesInOneObject = 200_000
  /// Batches of entries; with the longest path and link target one still fits into a frame.
  static let batchSize = 96 << 10
  private static let packsPerFrame = SealedFormat.maximumFrame / ManifestHeader.LivePack.encodedSize

  /// - Parameters:
  ///   - kind: A manifest, or a checkpoint of the same form.
  ///   - name: Of the root; nil stands for the manifest's.
  /// - Returns: Objects in the order in which they must be stored: the root is the last.
  func write(
    _ header: ManifestHeader, as kind: ObjectKind = .manifest, _ name: ObjectName? = nil,
    packs: [ManifestHeader.LivePack], files: FileTable
  ) throws -> [(ObjectName, SealedBuffer)] {
    var header = header
    let compressor = try ZstdCompressor(level: 3)
    let parts = try writeParts(files, &header, compressor)
    let name = name ?? lineage.manifest(header.id)
    let builder = try repository.makeBuilder(kind, name, buffer: SealedBuffer(capacity: 1 << 20))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = Array(try encoder.encode(header))
    // One frame nearly always; a long list of damaged pages takes more, and is when the backup matters most.
    for start in stride(from: 0, to: json.count, by: SealedFormat.maximumFrame) {
      let piece = json[start..<min(start + SealedFormat.maximumFrame, json.count)]
      _ = try piece.withUnsafeBytes { try builder.append($0, role: .header, with: compressor) }
    }
    try append(packs, to: builder, compressor)
    if header.parts.isEmpty { try appendEntries(files, to: builder, compressor) }
    return parts + [(name, try builder.finish())]
  }

  private func append(
    _ packs: [ManifestHeader.LivePack], to builder: SealedObjectBuilder, _ compressor: borrowing ZstdCompressor
  ) throws {
    for start in stride(from: 0, to: packs.count, by: Self.packsPerFrame) {
      var writer = ByteWriter()
      for pack in packs[start..<min(start + Self.packsPerFrame, packs.count)] {
        pack.encode(into: &writer)
      }
      _ = try writer.bytes.withUnsafeBytes { try builder.append($0, role: .index, with: compressor) }
    }
  }

  private func appendEntries(
    _ files: FileTable, to builder: SealedObjectBuilder, _ compressor: borrowing ZstdCompressor
  ) throws {
    try files.forEachBatch(limit: Self.batchSize) { batch in
      _ = try builder.append(batch, role: .stream, with: compressor)
    }
  }

  /// Entries as metadata packs, where they are too many for one object.
  private func writeParts(
    _ files: FileTable, _ header: inout ManifestHeader, _ compressor: borrowing ZstdCompressor
  ) throws -> [(ObjectName, SealedBuffer)] {
    guard files.count > entriesInOneObject else { return [] }
    var parts: [(ObjectName, SealedBuffer)] = []
    var open: SealedObjectBuilder?
    try files.forEachBatch(limit: Self.batchSize) { batch in
      if let builder = open, builder.size + batch.count > partSize {
        parts.append((builder.name, try builder.finish()))
        open = nil
      }
      if open == nil {
        let id = PackID.random()
        header.parts.append(id)
        open = try repository.makeBuilder(
          .metadata, lineage.metadataPack(id), buffer: SealedBuffer(capacity: 1 << 20))
      }
      _ = try open?.append(batch, role: .stream, with: compressor)
    }
    if let open { parts.append((open.name, try open.finish())) }
    return parts
  }
}
