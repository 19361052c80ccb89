internal import BackupModel

/// How much of each pack one backup uses: the slots of every frame, the sealed bytes of every pack.
///
/// Two bytes a frame and some twenty a pack: about 13 MiB for a terabyte of pages.
struct PackUsage: Sendable {
  struct Pack: Sendable {
    var id: PackID
    /// Bytes of the whole object; 0 while it is not known.
    var size: UInt32
    /// Sealed bytes of the frames in use.
    var liveBytes: UInt64
    /// By frame number: slots in use, and slots there are; 0 of 0 where nothing is known.
    var live: [UInt8]
    var total: [UInt8]

    var liveSlots: Int { live.reduce(0) { $0 + Int($1) } }
    var totalSlots: Int { total.reduce(0) { $0 + Int($1) } }
  }
  struct Metadata: Sendable {
    var id: PackID
    var size: UInt32
    /// Sealed bytes of its frames.
    var frameBytes: UInt64
    /// Plain bytes of the page maps in use, and of all it was written with.
    var live: UInt64
    var total: UInt64
    /// Less than 40 % in use: the maps left are written anew rather than keep it.
    var isSparse: Bool { live * 10 < total * 4 }
  }

  private(set) var packs: [Pack] = []
  private(set) var metadata: [Metadata] = []
  private var packIndex: [PackID: Int] = [:]
  private var metadataIndex: [PackID: Int] = [:]

  func pack(_ id: PackID) -> Pack? { packIndex[id].map { packs[$0] } }
  func position(of id: PackID) -> Int? { packIndex[id] }
  func metadataPack(_ id: PackID) -> Metadata? { metadataIndex[id].map { metadata[$0] } }

  /// Counts all runs of a map.
  mutating func add(_ map: PageMap) {
    let positions = map.packs.map { position(making: $0) }
    for run in map.runs {
      let frame = map.frames[Int(run.frame)]
      add(frame.location, slots: run.count, to: positions[Int(frame.pack)])
    }
  }

  private mutating func position(making id: PackID) -> Int {
    if let position = packIndex[id] { return position }
    packIndex[id] = packs.count
    packs.append(Pack(id: id, size: 0, liveBytes: 0, live: [], total: []))
    return packs.count - 1
  }

  private mutating func add(_ frame: FrameLocation, slots: UInt32, to position: Int) {
    let number = Int(frame.number)
    // A number no pack of ours reaches: a map that claims it must not take the memory.
    guard number < SealedFormat.maximumSlots else { return }
    let missing = number + 1 - packs[position].live.count
    if missing > 0 {
      packs[position].live.append(contentsOf: repeatElement(0, count: missing))
      packs[position].total.append(contentsOf: repeatElement(0, count: missing))
    }
    let before = packs[position].live[number]
    if before == 0 { packs[position].liveBytes += UInt64(frame.sealedLength) }
    packs[position].live[number] = UInt8(clamping: UInt32(before) + slots)
    packs[position].total[number] = UInt8(clamping: frame.plainLength / UInt32(SealedFormat.slotSize))
  }

  mutating func setSize(_ size: UInt32, of id: PackID) {
    if let position = packIndex[id] { packs[position].size = size }
  }

  /// Counts a page map that lies in a metadata pack.
  mutating func add(_ reference: PageMapReference, of pack: Metadata) {
    var position = metadataIndex[reference.metadataPack]
    if position == nil {
      var pack = pack
      pack.live = 0
      position = metadata.count
      metadataIndex[reference.metadataPack] = metadata.count
      metadata.append(pack)
    }
    metadata[position!].live += UInt64(reference.length)
  }

  /// What is known once a metadata pack is closed.
  mutating func close(metadata id: PackID, size: UInt32, frameBytes: UInt64) {
    guard let position = metadataIndex[id] else { return }
    metadata[position].size = size
    metadata[position].frameBytes = frameBytes
    metadata[position].total = metadata[position].live
  }

  /// As a manifest lists them.
  var livePacks: [ManifestHeader.LivePack] {
    packs.filter { $0.liveBytes > 0 }.map {
      .init(pack: $0.id, kind: .pack, size: $0.size, liveBytes: $0.liveBytes)
    }
      + metadata.map { .init(pack: $0.id, kind: .metadata, size: $0.size, liveBytes: $0.frameBytes) }
  }

  // MARK: Coding

  func encode(into writer: inout ByteWriter) {
    writer.append(UInt32(packs.count))
    for pack in packs {
      writer.append(bigEndian: pack.id)
      writer.append(pack.size)
      writer.append(pack.liveBytes)
      writer.append(UInt32(pack.live.count))
      writer.append(pack.live)
      writer.append(pack.total)
    }
    writer.append(UInt32(metadata.count))
    for pack in metadata {
      writer.append(bigEndian: pack.id)
      writer.append(pack.size)
      writer.append(pack.frameBytes)
      writer.append(pack.live)
      writer.append(pack.total)
    }
  }

  init() {}

  init(decoding reader: inout ByteReader) throws(ByteReader.Malformed) {
    let what = "the use of packs"
    for _ in 0..<(try reader.integer(what, as: UInt32.self)) {
      let id = try reader.id(what)
      let size: UInt32 = try reader.integer(what)
      let liveBytes: UInt64 = try reader.integer(what)
      let count = Int(try reader.integer(what, as: UInt32.self))
      let live = Array(try reader.take(count, what))
      let total = Array(try reader.take(count, what))
      packIndex[id] = packs.count
      packs.append(Pack(id: id, size: size, liveBytes: liveBytes, live: live, total: total))
    }
    for _ in 0..<(try reader.integer(what, as: UInt32.self)) {
      let pack = Metadata(
        id: try reader.id(what), size: try reader.integer(what), frameBytes: try reader.integer(what),
        live: try reader.integer(what), total: try reader.integer(what))
      metadataIndex[pack.id] = metadata.count
      metadata.append(pack)
    }
  }
}
