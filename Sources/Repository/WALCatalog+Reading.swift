public import BackupModel

/// WAL itself and its indexes, as recovery and planning read them.
extension WALCatalog {
  /// The bytes of a segment, as long as a segment is: the whole object, or its slices joined and padded with zeros.
  ///
  /// - Returns: Nil only where every store has answered and none holds its beginning.
  /// - Throws: ``RepositoryError/unavailable(_:_:)`` where a store that may hold it did not answer; what damaged objects
  ///   give.
  public func readSegment(_ segment: WALSegment) throws -> [UInt8]? {
    guard let piece = piece(segment), end(of: piece) > segment.start(size: segmentSize) else {
      guard failures.isEmpty else {
        throw RepositoryError.unavailable(lineage.walSegment(segment, size: segmentSize), failures)
      }
      return nil
    }
    if !piece.full.isEmpty {
      let name = lineage.walSegment(segment, size: segmentSize)
      let bytes = try repository.read(.walSegment, name) { try $0.readStream() }
      guard bytes.count == Int(segmentSize.bytes) else {
        throw RepositoryError.damaged(
          name, in: piece.full.sorted()[0], reason: "It holds \(bytes.count) bytes of WAL, not a segment.")
      }
      return bytes
    }
    return try joinSlices(piece)
  }

  private func joinSlices(_ piece: Piece) throws -> [UInt8] {
    let start = piece.segment.start(size: segmentSize)
    var bytes = [UInt8](repeating: 0, count: Int(segmentSize.bytes))
    for slice in WALSlice.chain(piece.slices.keys, from: start) where slice.end <= piece.segment.end(size: segmentSize)
    {
      let name = lineage.walSlice(piece.segment, from: slice.first, to: slice.end, size: segmentSize)
      let part = try repository.read(.walSlice, name) { try $0.readStream() }
      guard part.count == Int(slice.end - slice.first) else {
        throw RepositoryError.damaged(
          name, in: piece.slices[slice]?.sorted().first ?? repository.stores[0].id,
          reason: "It holds \(part.count) bytes, not those its name says.")
      }
      let offset = Int(slice.first - start)
      bytes.replaceSubrange(offset..<offset + part.count, with: part)
    }
    return bytes
  }

  /// The index of what is held of a segment; nil where nothing is.
  /// - Parameter store: Of what this store holds; it may be read from another one that holds it too.
  public func readIndex(_ piece: Piece, in store: StoreID? = nil) throws -> WALIndex? {
    if store.map({ piece.full.contains($0) }) ?? !piece.full.isEmpty {
      return try repository.read(.walSegment, lineage.walSegment(piece.segment, size: segmentSize)) {
        try $0.readWALIndex()
      }
    }
    var joined: WALIndex?
    for slice in WALSlice.chain(slices(of: piece, in: store), from: piece.segment.start(size: segmentSize)) {
      let name = lineage.walSlice(piece.segment, from: slice.first, to: slice.end, size: segmentSize)
      let index = try repository.read(.walSlice, name) { try $0.readWALIndex() }
      // Slices may overlap: what the chain has already is not taken twice.
      if let end = joined?.end { joined?.append(index.part(from: end, to: index.end)) } else { joined = index }
    }
    return joined
  }

  /// A timeline's history file; nil where every store has answered and none holds it.
  public func readHistory(_ timeline: TimelineID) throws -> [UInt8]? {
    let name = lineage.history(timeline)
    guard histories[timeline] != nil else {
      guard failures.isEmpty else { throw RepositoryError.unavailable(name, failures) }
      return nil
    }
    return try repository.read(.timelineHistory, name) { try $0.readStream() }
  }
}
