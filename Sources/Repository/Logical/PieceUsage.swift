internal import BackupModel

/// Which frames of which packs one logical backup uses: a bit a frame.
struct PieceUsage {
  private struct Pack {
    var liveBytes: UInt64 = 0
    var frames: [UInt64] = []
  }
  private var packs: [Pack] = []
  private(set) var ids: [PackID] = []
  private var positions: [PackID: UInt32] = [:]

  /// The pack's position among all that are used.
  mutating func position(of id: PackID) -> UInt32 {
    if let position = positions[id] { return position }
    positions[id] = UInt32(ids.count)
    ids.append(id)
    packs.append(Pack())
    return UInt32(ids.count - 1)
  }

  mutating func add(_ frame: FrameLocation, in position: UInt32) {
    let (word, bit) = (Int(frame.number >> 6), UInt64(1) << UInt64(frame.number & 63))
    let missing = word + 1 - packs[Int(position)].frames.count
    if missing > 0 { packs[Int(position)].frames.append(contentsOf: repeatElement(0, count: missing)) }
    guard packs[Int(position)].frames[word] & bit == 0 else { return }
    packs[Int(position)].frames[word] |= bit
    packs[Int(position)].liveBytes += UInt64(frame.sealedLength)
  }

  /// As a manifest lists them.
  func livePacks(size: (PackID) -> UInt32?) -> [ManifestHeader.LivePack] {
    zip(ids, packs).compactMap { id, pack in
      guard pack.liveBytes > 0 else { return nil }
      return .init(pack: id, kind: .pack, size: size(id) ?? 0, liveBytes: pack.liveBytes)
    }
  }
}
