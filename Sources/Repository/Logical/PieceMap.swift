public import BackupModel

/// Where the bytes of one part of a stream lie, in their order.
///
/// - SeeAlso: `docs/architecture/repository-format.md`, chapter 7.
public struct PieceMap: Sendable, Hashable {
  /// Bytes that lie one after another in one frame.
  public struct Run: Sendable, Hashable {
    /// Index into ``PieceMap/frames``.
    public var frame: UInt32
    /// From the first of the frame's plain bytes.
    public var offset: UInt32
    public var length: UInt32
    public init(frame: UInt32, offset: UInt32, length: UInt32) {
      self.frame = frame
      self.offset = offset
      self.length = length
    }
  }

  public var packs: [PackID] = []
  public var frames: [PageMap.Frame] = []
  public var runs: [Run] = []

  public init() {}

  /// Adds a piece; one that follows the last in its frame makes that run longer.
  mutating func append(frame: UInt32, offset: UInt32, length: UInt32) {
    if let last = runs.last, last.frame == frame, last.offset + last.length == offset {
      runs[runs.count - 1].length += length
    } else {
      runs.append(Run(frame: frame, offset: offset, length: length))
    }
  }

  /// Whether the runs are `size` bytes and none leaves its frame.
  public func covers(bytes size: UInt64) -> Bool {
    var sum: UInt64 = 0
    for run in runs {
      guard run.length > 0, Int(run.frame) < frames.count else { return false }
      let frame = frames[Int(run.frame)]
      guard Int(frame.pack) < packs.count,
        UInt64(run.offset) + UInt64(run.length) <= UInt64(frame.location.plainLength),
        frame.location.plainLength <= UInt32(SealedFormat.maximumFrame)
      else { return false }
      sum += UInt64(run.length)
    }
    return sum == size
  }

  /// Counts, packs and frames as in a page map; of each run three numbers of variable length.
  func encode(into writer: inout ByteWriter) {
    writer.append(UInt32(packs.count))
    writer.append(UInt32(frames.count))
    writer.append(UInt32(runs.count))
    for pack in packs { writer.append(bigEndian: pack) }
    for frame in frames { frame.encode(into: &writer) }
    var previous: Int64 = 0
    for run in runs {
      let difference = Int64(run.frame) - previous
      previous = Int64(run.frame)
      writer.append(variable: UInt64(bitPattern: (difference << 1) ^ (difference >> 63)))
      writer.append(variable: UInt64(run.offset))
      writer.append(variable: UInt64(run.length))
    }
  }

  init(decoding reader: inout ByteReader) throws(ByteReader.Malformed) {
    let what = "a piece map"
    let packCount = Int(try reader.integer(what, as: UInt32.self))
    let frameCount = Int(try reader.integer(what, as: UInt32.self))
    let runCount = Int(try reader.integer(what, as: UInt32.self))
    guard packCount * 16 + frameCount * 20 + runCount * 3 <= reader.remaining else {
      throw ByteReader.Malformed(what: "it ends within a piece map")
    }
    for _ in 0..<packCount { packs.append(try reader.id(what)) }
    for _ in 0..<frameCount { frames.append(try PageMap.Frame(decoding: &reader, what)) }
    var previous: Int64 = 0
    for _ in 0..<runCount {
      let code = try reader.variable(what)
      let (frame, overflow) = previous.addingReportingOverflow(Int64(code >> 1) ^ -Int64(code & 1))
      guard !overflow, let frame = UInt32(exactly: frame), let offset = UInt32(exactly: try reader.variable(what)),
        let length = UInt32(exactly: try reader.variable(what))
      else { throw ByteReader.Malformed(what: "a run that cannot be") }
      previous = Int64(frame)
      runs.append(Run(frame: frame, offset: offset, length: length))
    }
  }
}

extension PageMap.Frame {
  func encode(into writer: inout ByteWriter) {
    writer.append(pack)
    writer.append(location.number)
    writer.append(location.offset)
    writer.append(location.sealedLength)
    writer.append(location.plainLength)
  }

  init(decoding reader: inout ByteReader, _ what: String) throws(ByteReader.Malformed) {
    pack = try reader.integer(what)
    location = FrameLocation(
      number: try reader.integer(what), offset: try reader.integer(what), sealedLength: try reader.integer(what),
      plainLength: try reader.integer(what))
  }
}

extension ByteWriter {
  /// Seven bits a byte, the lowest first; the highest bit says that more follow.
  mutating func append(variable value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

extension ByteReader {
  mutating func variable(_ what: String) throws(Malformed) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      let byte: UInt8 = try integer(what)
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw Malformed(what: "a number that is too long in \(what)")
  }
}
