internal import BackupModel
internal import BlockingWork
internal import Storage

/// One logical backup in one store.
extension VerifyWalk {
  /// Every byte of every stream. Of a part that cannot be read each frame is tried alone, so that all its objects are named.
  func readDump(_ reader: BackupReader) throws {
    let dump = try DumpReader(reader)
    let total = Int64(reader.header.totalBytes.value)
    let packs = try PackReader(PackHeaders(reader.repository, reader.lineage))
    var objects: Set<PackID> = []
    try reader.forEachFile { part in
      self.count(file: part)
      var done: Int64 = 0
      var isWhole = false
      try looking(at: lineage.manifest(reader.header.id).text) {
        if let reference = part.pageMap { objects.insert(reference.metadataPack) }
        objects.formUnion(try reader.pieceMap(of: part).packs)
        try dump.read(part, cancellation: cancellation) { done += Int64($0.count) }
        isWhole = true
      }
      progress(done, total: total)
      if !isWhole { try readFrames(of: part, reader, packs) }
    }
    self.count(objects: 1 + objects.count)
  }

  private func readFrames(of part: ManifestFile, _ reader: BackupReader, _ packs: PackReader) throws {
    guard let map = try? reader.pieceMap(of: part) else { return }
    for frame in map.frames {
      try cancellation.check()
      let pack = map.packs[Int(frame.pack)]
      try looking(at: lineage.pack(pack).text) { try packs.read(pack, [frame.location]) { _, _ in } }
    }
  }
}
