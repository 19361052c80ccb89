internal import BackupModel
internal import Storage

/// Checkpoints: what a run has done so far, so that the next one need not do it again.
extension BackupWriter {
  struct CheckpointState {
    var header: ManifestHeader
    /// Bytes between one and the next.
    var interval: Int
    /// Bytes processed since the last one, and pages of them that are stored.
    var bytes = 0
    var pages = 0
    var number = 0
    /// Entries since the last one.
    var recent = FileTable()
  }

  /// Smaller steps would cost more than they save.
  static let shortestInterval = 16 << 20
  /// Where less was stored there is little to repeat: a checkpoint closes a pack, and each pack costs every restore that
  /// reads from it.
  static let leastPages = 512
  /// Files of at least so many pages are worth noting while they are half done.
  static let partialPages = 1024

  /// Leaves checkpoints from now on, about sixteen in all; fewer where little changed.
  ///
  /// - Parameters:
  ///   - header: What is known of the backup.
  ///   - expected: Bytes the cluster has, about.
  public func leaveCheckpoints(_ header: ManifestHeader, expected: Int64) {
    var header = header
    header.parent = options.parent?.parent
    lock.withLock { _ in
      checkpoints = CheckpointState(
        header: header, interval: max(Self.shortestInterval, Int(clamping: expected / 16)))
    }
  }

  /// Called while `lock` is held.
  func checkpointIfDue(after bytes: Int, stored pages: Int) throws {
    guard checkpoints != nil else { return }
    checkpoints!.bytes += bytes
    checkpoints!.pages += pages
    guard checkpoints!.bytes >= checkpoints!.interval, checkpoints!.pages >= Self.leastPages else { return }
    checkpoints!.bytes = 0
    checkpoints!.pages = 0
    // Workers store what they gather, so that the next one knows of it.
    epoch.add(1, ordering: .relaxed)
    try packs.finish()
    let partial = try notePartialFiles()
    try metadata.finish()
    takeSizes()
    guard checkpoints!.recent.count > 0 else { return }
    _ = checkpoints!.recent.sort()
    checkpoints!.number += 1
    let name = lineage.checkpoint(checkpoints!.header.id, checkpoints!.number)
    let objects = try ManifestWriter(repository: repository, lineage: lineage).write(
      checkpoints!.header, as: .checkpoint, name, packs: referred(with: partial), files: checkpoints!.recent)
    checkpoints!.recent = FileTable()
    // In every store the sender puts them behind the packs they refer to.
    for (name, buffer) in objects { try sender.send(name, buffer, pooled: false, isCheckpoint: true) }
  }

  /// All packs a checkpoint keeps from being pruned.
  private func referred(with partial: PackUsage) -> [ManifestHeader.LivePack] {
    var packs = usage.livePacks.filter { $0.size > 0 }
    var known = Set(packs.map(\.pack))
    for pack in partial.packs where known.insert(pack.id).inserted {
      guard let size = self.packs.size(of: pack.id) ?? options.parent?.size(of: pack.id) else { continue }
      packs.append(.init(pack: pack.id, kind: .pack, size: size, liveBytes: pack.liveBytes))
    }
    packs += metadata.livePacks.filter { known.insert($0.pack).inserted }
    return packs
  }

  /// Large files that are half done: their pages stored or taken over so far. They count for the checkpoint alone.
  private func notePartialFiles() throws -> PackUsage {
    var partial = PackUsage()
    for file in openFiles.values where file.assembly.pages + file.unchanged.count >= Self.partialPages {
      let map = try assemble(file)
      guard let last = map.runs.last else { continue }
      partial.add(map)
      // Its size is not known yet; what counts is how far its pages go.
      let pages = UInt64(last.firstPage) + UInt64(last.count)
      checkpoints!.recent.append(
        ManifestFile(
          path: file.path, kind: .file, mode: 0, modified: 0, size: pages * UInt64(SealedFormat.slotSize),
          pageMap: try metadata.append(map)))
    }
    return partial
  }
}
