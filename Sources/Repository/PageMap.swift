public import BackupModel

/// Where each page of one file lies.
///
/// Pages are slots of 8 KiB counted from the file's start; the last may be short in the file and is padded with zeros
/// in its slot. A map names its packs itself, so that an unchanged file's map can be taken over by reference.
public struct PageMap: Sendable, Hashable {
  /// A frame that holds pages of the file.
  public struct Frame: Sendable, Hashable {
    /// Index into ``PageMap/packs``.
    public var pack: UInt32
    public var location: FrameLocation
    public init(pack: UInt32, location: FrameLocation) {
      self.pack = pack
      self.location = location
    }
  }
  /// Consecutive pages that lie in consecutive slots of one frame.
  public struct Run: Sendable, Hashable {
    public var firstPage: UInt32
    public var count: UInt32
    /// Index into ``PageMap/frames``.
    public var frame: UInt32
    /// The slot of the first page, from 0.
    public var slot: UInt32
    public init(firstPage: UInt32, count: UInt32, frame: UInt32, slot: UInt32) {
      self.firstPage = firstPage
      self.count = count
      self.frame = frame
      self.slot = slot
    }
  }

  public var packs: [PackID] = []
  public var frames: [Frame] = []
  /// In the order of pages, each page in exactly one run.
  public var runs: [Run] = []

  public init() {}

  /// Whether the runs cover pages 0 ..< `pages`, each once, within the slots of their frames.
  public func covers(pages: UInt64) -> Bool {
    var next: UInt64 = 0
    for run in runs {
      guard UInt64(run.firstPage) == next, run.count > 0, Int(run.frame) < frames.count else { return false }
      let frame = frames[Int(run.frame)]
      guard Int(frame.pack) < packs.count,
        (UInt64(run.slot) + UInt64(run.count)) * UInt64(SealedFormat.slotSize) <= UInt64(frame.location.plainLength)
      else { return false }
      next += UInt64(run.count)
    }
    return next == pages
  }

  /// Whether the runs are in order, overlap nowhere and stay within their frames. They may leave pages out, as those of
  /// a file that a checkpoint found half done.
  public var isConsistent: Bool {
    var next: UInt64 = 0
    for run in runs {
      guard UInt64(run.firstPage) >= next, run.count > 0, Int(run.frame) < frames.count else { return false }
      let frame = frames[Int(run.frame)]
      guard Int(frame.pack) < packs.count,
        (UInt64(run.slot) + UInt64(run.count)) * UInt64(SealedFormat.slotSize) <= UInt64(frame.location.plainLength)
      else { return false }
      next = UInt64(run.firstPage) + UInt64(run.count)
    }
    return true
  }

  /// Counts, then packs (16 bytes each), frames (20) and runs (16), integers little-endian.
  func encode(into writer: inout ByteWriter) {
    writer.append(UInt32(packs.count))
    writer.append(UInt32(frames.count))
    writer.append(UInt32(runs.count))
    for pack in packs { writer.append(bigEndian: pack) }
    for frame in frames { frame.encode(into: &writer) }
    for run in runs {
      writer.append(run.firstPage)
      writer.append(run.count)
      writer.append(run.frame)
      writer.append(run.slot)
    }
  }

  init(decoding reader: inout ByteReader) throws(ByteReader.Malformed) {
    let packCount = Int(try reader.integer("a page map", as: UInt32.self))
    let frameCount = Int(try reader.integer("a page map", as: UInt32.self))
    let runCount = Int(try reader.integer("a page map", as: UInt32.self))
    guard packCount * 16 + frameCount * 20 + runCount * 16 <= reader.remaining else {
      throw ByteReader.Malformed(what: "it ends within a page map")
    }
    for _ in 0..<packCount { packs.append(try reader.id("a page map")) }
    for _ in 0..<frameCount { frames.append(try Frame(decoding: &reader, "a page map")) }
    for _ in 0..<runCount {
      runs.append(
        Run(
          firstPage: try reader.integer("a page map"), count: try reader.integer("a page map"),
          frame: try reader.integer("a page map"), slot: try reader.integer("a page map")))
    }
  }
}

/// Where a file's page map lies: bytes in the joined stream frames of a metadata pack.
public struct PageMapReference: Sendable, Hashable {
  public var metadataPack: PackID
  /// The frame in which the map begins; it goes on in the frames after it.
  public var frame: UInt32
  /// Bytes from that frame's plain start.
  public var offset: UInt32
  public var length: UInt32
  public init(metadataPack: PackID, frame: UInt32, offset: UInt32, length: UInt32) {
    self.metadataPack = metadataPack
    self.frame = frame
    self.offset = offset
    self.length = length
  }
}
