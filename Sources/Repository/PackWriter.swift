internal import BackupModel
internal import Cryptography
import Synchronization

/// Seals frames of all workers into packs and hands full ones to the stores.
///
/// - Note: `@unchecked Sendable`: the open pack is touched only while `lock` is held.
final class PackWriter: @unchecked Sendable {
  private let repository: Repository
  private let lineage: Lineage
  private let sender: PackSender
  private let lock = Mutex(())
  private var open: (id: PackID, builder: SealedObjectBuilder)?
  private var live: UInt64 = 0
  private var finished: [ManifestHeader.LivePack] = []

  init(repository: Repository, lineage: Lineage, sender: PackSender) {
    self.repository = repository
    self.lineage = lineage
    self.sender = sender
  }

  /// Seals one compressed frame of pages into the open pack. Waits where the stores are behind.
  func append(
    compressed: UnsafeRawBufferPointer, plainLength: Int, fingerprints: UnsafeBufferPointer<Fingerprint>
  ) throws -> (PackID, FrameLocation) {
    try lock.withLock { _ in
      if let (_, builder) = open,
        !builder.hasRoom(compressedLength: compressed.count, slots: fingerprints.count)
      {
        try finishOpen()
      }
      if open == nil {
        let id = PackID.random()
        let buffer = try sender.takeBuffer()
        open = (id, try repository.makeBuilder(.pack, lineage.pack(id), buffer: buffer))
      }
      let (id, builder) = open!
      let location = try builder.append(
        compressed: compressed, plainLength: plainLength, role: .pages, fingerprints: fingerprints)
      live += UInt64(location.sealedLength)
      return (id, location)
    }
  }

  func finish() throws { try lock.withLock { _ in try finishOpen() } }

  private func finishOpen() throws {
    guard let (id, builder) = open else { return }
    open = nil
    let buffer = try builder.finish()
    finished.append(.init(pack: id, kind: .pack, size: UInt32(buffer.count), liveBytes: live))
    live = 0
    try sender.send(lineage.pack(id), buffer)
  }

  /// The packs written, after ``finish()``.
  var livePacks: [ManifestHeader.LivePack] { lock.withLock { _ in finished } }
}
