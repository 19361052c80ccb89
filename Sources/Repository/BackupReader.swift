public import BackupModel
internal import BlockingWork
internal import Storage

/// Reads one backup: its header, its files, their page maps. Used by one thread at a time.
public final class BackupReader {
  public let repository: Repository
  public let lineage: Lineage
  public let header: ManifestHeader
  private let kind: ObjectKind
  private let manifestName: ObjectName
  /// Open from the beginning: a short manifest is read once.
  private let manifest: SealedObjectReader
  /// Of page maps read lately, the newest last: files next to each other often have theirs in packs of several backups.
  private var openMetadata: [OpenMetadata] = []
  private static let openMetadataPacks = 8

  /// A pack of page maps, and its frame opened last.
  private final class OpenMetadata {
    let id: PackID
    let reader: SealedObjectReader
    private var frame: (number: UInt32, bytes: [UInt8])?
    init(_ id: PackID, _ reader: SealedObjectReader) {
      self.id = id
      self.reader = reader
    }
    func bytes(of number: UInt32, _ repository: Repository) throws -> [UInt8] {
      if let frame, frame.number == number { return frame.bytes }
      let bytes = try repository.read(reader.frames[Int(number)], of: reader)
      frame = (number, bytes)
      return bytes
    }
  }

  public init(_ repository: Repository, _ lineage: Lineage, _ id: BackupID) throws {
    self.repository = repository
    self.lineage = lineage
    kind = .manifest
    manifestName = lineage.manifest(id)
    (manifest, header) = try repository.read(.manifest, manifestName) {
      ($0, try BackupCatalog.decodeHeader($0, id, lineage))
    }
  }

  /// A checkpoint: what a run had done when it was written. Nothing can be restored from it; files may lack pages.
  public init(_ repository: Repository, _ lineage: Lineage, checkpoint: RunCheckpoint) throws {
    self.repository = repository
    self.lineage = lineage
    kind = .checkpoint
    manifestName = checkpoint.name(in: lineage)
    (manifest, header) = try repository.read(.checkpoint, manifestName) {
      ($0, try BackupCatalog.decodeHeader($0, checkpoint.backup, lineage))
    }
  }

  /// The packs this backup uses and the sealed bytes it uses of each.
  public func livePacks() throws -> [ManifestHeader.LivePack] {
    var packs: [ManifestHeader.LivePack] = []
    for frame in manifest.frames where frame.role == .index {
      let bytes = try repository.read(frame, of: manifest)
      try bytes.withUnsafeBytes { bytes in
        var input = ByteReader(bytes)
        do {
          while input.remaining > 0 { packs.append(try ManifestHeader.LivePack(decoding: &input)) }
        } catch {
          throw RepositoryError.damaged(manifest.name, in: manifest.store, reason: "A list of packs is malformed.")
        }
      }
    }
    return packs
  }

  /// Hands out the entries in the order of their paths.
  public func forEachFile(_ body: (ManifestFile) throws -> Void) throws {
    var previous: [UInt8] = []
    func read(_ reader: SealedObjectReader) throws {
      for frame in reader.frames where frame.role == .stream {
        for file in try Self.decode(try repository.read(frame, of: reader), reader) {
          let path = Array(file.path.utf8)
          guard previous.isEmpty || previous.lexicographicallyPrecedes(path) else {
            throw RepositoryError.damaged(reader.name, in: reader.store, reason: "Its entries are out of order.")
          }
          previous = path
          guard (file.kind == .streamPart) == (header.kind == .logical) else {
            throw RepositoryError.damaged(
              reader.name, in: reader.store, reason: "\"\(file.path)\" does not belong into a backup of its kind.")
          }
          try body(file)
        }
      }
    }
    if header.parts.isEmpty { return try read(manifest) }
    for part in header.parts {
      try read(repository.read(.metadata, lineage.metadataPack(part)) { $0 })
    }
  }

  private static func decode(_ bytes: [UInt8], _ reader: SealedObjectReader) throws -> [ManifestFile] {
    try bytes.withUnsafeBytes { bytes in
      var input = ByteReader(bytes)
      var files: [ManifestFile] = []
      do {
        while input.remaining > 0 { files.append(try ManifestFile(decoding: &input)) }
      } catch let error as ByteReader.Malformed {
        throw RepositoryError.damaged(
          reader.name, in: reader.store, reason: "An entry is malformed: \(error.what).")
      }
      return files
    }
  }

  /// The page map of a file; empty for a file without content.
  /// - Throws: ``RepositoryError/damaged(_:in:reason:)`` where it does not cover the file exactly.
  public func pageMap(of file: ManifestFile) throws -> PageMap {
    precondition(file.kind != .streamPart, "a part of a stream has a piece map")
    guard let reference = file.pageMap else {
      guard file.size == 0 else {
        throw RepositoryError.damaged(
          manifestName, in: repository.stores[0].id, reason: "\"\(file.path)\" has content and no page map.")
      }
      return PageMap()
    }
    let name = lineage.metadataPack(reference.metadataPack)
    let bytes = try metadataBytes(reference, name)
    let map = try? bytes.withUnsafeBytes { bytes in
      var input = ByteReader(bytes)
      return try PageMap(decoding: &input)
    }
    guard let map, kind == .checkpoint ? map.isConsistent : map.covers(pages: file.pages) else {
      throw RepositoryError.damaged(
        name, in: openMetadata.last?.reader.store ?? repository.stores[0].id,
        reason: "The page map of \"\(file.path)\" does not describe the file.")
    }
    return map
  }

  private func metadata(_ id: PackID, _ name: ObjectName) throws -> OpenMetadata {
    if let index = openMetadata.lastIndex(where: { $0.id == id }) {
      let found = openMetadata.remove(at: index)
      openMetadata.append(found)
      return found
    }
    let opened = OpenMetadata(id, try repository.read(.metadata, name) { $0 })
    if openMetadata.count == Self.openMetadataPacks { openMetadata.removeFirst() }
    openMetadata.append(opened)
    return opened
  }

  func metadataBytes(_ reference: PageMapReference, _ name: ObjectName) throws -> [UInt8] {
    let metadata = try metadata(reference.metadataPack, name)
    let reader = metadata.reader
    var result: [UInt8] = []
    // Not more than there can be, whatever the reference claims.
    result.reserveCapacity(min(Int(reference.length), 1 << 20))
    var number = reference.frame
    var offset = Int(reference.offset)
    while result.count < Int(reference.length) {
      guard Int(number) < reader.frames.count else {
        throw RepositoryError.damaged(name, in: reader.store, reason: "A page map lies beyond its end.")
      }
      let bytes = try metadata.bytes(of: number, repository)
      guard offset < bytes.count else {
        throw RepositoryError.damaged(name, in: reader.store, reason: "A page map lies beyond its frame.")
      }
      result.append(contentsOf: bytes[offset..<min(bytes.count, offset + Int(reference.length) - result.count)])
      number &+= 1
      offset = 0
    }
    return result
  }
}
