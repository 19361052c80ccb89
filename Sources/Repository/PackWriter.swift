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
  private var sizes: [PackID: UInt32] = [:]

  init(repository: Repository, lineage: Lineage, sender: PackSender) {
    self.repository = repository
    self.lineage = lineage
    self.sender = sender
  }

  /// Seals one compressed frame into the open pack. Waits where the stores are behind.
  func append(
    compressed: UnsafeRawBufferPointer, plainLength: Int, role: FrameRole = .pages,
    fingerprints: UnsafeBufferPointer<Fingerprint> = UnsafeBufferPointer(start: nil, count: 0)
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
        compressed: compressed, plainLength: plainLength, role: role, fingerprints: fingerprints)
      return (id, location)
    }
  }

  /// Closes the open pack; a further frame opens another.
  func finish() throws { try lock.withLock { _ in try finishOpen() } }

  private func finishOpen() throws {
    guard let (id, builder) = open else { return }
    open = nil
    let buffer = try builder.finish()
    sizes[id] = UInt32(buffer.count)
    try sender.send(lineage.pack(id), buffer)
  }

  /// The size of a pack this run wrote; nil while it is open.
  func size(of pack: PackID) -> UInt32? { lock.withLock { _ in sizes[pack] } }
}
