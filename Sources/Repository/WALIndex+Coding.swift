public import BackupModel

/// The bytes of a ``WALIndex``: little-endian fixed fields, then entries as variable-length differences.
///
///     u16 version (1)   u16 flags (bit 0: partial)   u32 timeline
///     u64 first   u64 end   u64 complete end, 0: none   u64 open record, 0: none
///     i64 server clock, microseconds since 1970, Int64.min: none
///     u32 entries   u32 restore points
///     entry:          u8 outcome, varint start - previous end, varint end - start, zigzag xid - previous xid,
///                     zigzag time - previous time; the first entry counts from `first`, xid 0 and time 0, and its
///                     start is zigzag, since it may lie before `first`
///     restore point:  varint start, varint end - start, zigzag time, varint length, UTF-8 bytes
extension WALIndex {
  public static let version: UInt16 = 1

  public func encoded() -> [UInt8] {
    var out = WALByteWriter()
    out.fixed(Self.version)
    out.fixed(UInt16(isPartial ? 1 : 0))
    out.fixed(timeline.value)
    out.fixed(first.value)
    out.fixed(end.value)
    out.fixed(completeEnd?.value ?? 0)
    out.fixed(openRecord?.value ?? 0)
    out.fixed(UInt64(bitPattern: serverClock?.microseconds ?? .min))
    out.fixed(UInt32(entries.count))
    out.fixed(UInt32(restorePoints.count))
    var previous = Entry(
      outcome: .commit, xid: 0, time: Timestamp(microseconds: 0), start: first, end: first)
    for entry in entries {
      out.byte(entry.outcome.rawValue)
      out.signed(Int64(bitPattern: entry.start.value &- previous.end.value))
      out.unsigned(entry.end.value &- entry.start.value)
      out.signed(Int64(entry.xid) - Int64(previous.xid))
      out.signed(entry.time.microseconds &- previous.time.microseconds)
      previous = entry
    }
    for point in restorePoints {
      out.unsigned(point.start.value)
      out.unsigned(point.end.value &- point.start.value)
      out.signed(point.time.microseconds)
      out.unsigned(UInt64(point.name.utf8.count))
      out.bytes.append(contentsOf: point.name.utf8)
    }
    return out.bytes
  }

  /// - Throws: ``WALIndexError`` for a version not known here and for bytes that are not an index.
  public init(decoding bytes: [UInt8]) throws(WALIndexError) {
    var input = WALByteReader(bytes)
    let version: UInt16 = try input.fixed()
    guard version == Self.version else { throw .versionUnknown(version) }
    let flags: UInt16 = try input.fixed()
    let timeline: UInt32 = try input.fixed()
    let first: UInt64 = try input.fixed()
    let end: UInt64 = try input.fixed()
    self.init(timeline: TimelineID(timeline), first: LSN(first), end: LSN(end))
    isPartial = flags & 1 == 1
    let complete: UInt64 = try input.fixed()
    completeEnd = complete == 0 ? nil : LSN(complete)
    let open: UInt64 = try input.fixed()
    openRecord = open == 0 ? nil : LSN(open)
    let clock = Int64(bitPattern: try input.fixed() as UInt64)
    serverClock = clock == .min ? nil : Timestamp(microseconds: clock)
    let entryCount: UInt32 = try input.fixed()
    let pointCount: UInt32 = try input.fixed()
    // An entry takes at least five bytes: a count beyond that is a lie, found before memory is reserved for it.
    guard Int(entryCount) <= input.left / 5, Int(pointCount) <= input.left / 4 else { throw .malformed }
    try decodeEntries(Int(entryCount), from: &input)
    try decodeRestorePoints(Int(pointCount), from: &input)
    guard input.left == 0 else { throw .malformed }
  }

  private mutating func decodeEntries(_ count: Int, from input: inout WALByteReader) throws(WALIndexError) {
    entries.reserveCapacity(count)
    var position = first.value
    var xid: Int64 = 0
    var time: Int64 = 0
    for _ in 0..<count {
      guard let outcome = Outcome(rawValue: try input.byte()) else { throw .malformed }
      let start = position &+ UInt64(bitPattern: try input.signed())
      position = start &+ (try input.unsigned())
      xid = xid &+ (try input.signed())
      time = time &+ (try input.signed())
      guard let number = UInt32(exactly: xid) else { throw .malformed }
      entries.append(
        Entry(
          outcome: outcome, xid: number, time: Timestamp(microseconds: time), start: LSN(start), end: LSN(position)))
    }
  }

  private mutating func decodeRestorePoints(_ count: Int, from input: inout WALByteReader) throws(WALIndexError) {
    for _ in 0..<count {
      let start = try input.unsigned()
      let end = start &+ (try input.unsigned())
      let time = try input.signed()
      let length = try input.unsigned()
      guard length <= UInt64(input.left) else { throw .malformed }
      restorePoints.append(
        RestorePoint(
          name: try input.text(Int(length)), time: Timestamp(microseconds: time), start: LSN(start), end: LSN(end)))
    }
  }
}

/// Bytes that are not a WAL index this program can read.
public enum WALIndexError: OperatorError, Equatable {
  case versionUnknown(UInt16)
  case malformed

  public var summary: String { "cannot read the index of a WAL object" }
  public var detail: String? {
    switch self {
    case .versionUnknown(let version): "It has format version \(version); this program reads version 1."
    case .malformed: "Its bytes do not have the form of an index."
    }
  }
  public var hint: String? {
    switch self {
    case .versionUnknown: "Use the version of backupd that wrote it, or a newer one."
    case .malformed: nil
    }
  }
}

struct WALByteWriter {
  var bytes: [UInt8] = []

  mutating func byte(_ value: UInt8) { bytes.append(value) }
  mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
  mutating func unsigned(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
  mutating func signed(_ value: Int64) {
    unsigned(UInt64(bitPattern: value << 1) ^ UInt64(bitPattern: value >> 63))
  }
}

struct WALByteReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var left: Int { bytes.count - position }

  mutating func byte() throws(WALIndexError) -> UInt8 {
    guard left >= 1 else { throw .malformed }
    defer { position += 1 }
    return bytes[position]
  }
  mutating func fixed<Value: FixedWidthInteger>() throws(WALIndexError) -> Value {
    let size = MemoryLayout<Value>.size
    guard left >= size else { throw .malformed }
    defer { position += size }
    return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Value.self)) }
  }
  mutating func unsigned() throws(WALIndexError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let next = try byte()
      guard shift < 63 || (shift == 63 && next <= 1) else { throw .malformed }
      value |= UInt64(next & 0x7F) << shift
      if next & 0x80 == 0 { return value }
      shift += 7
    }
  }
  mutating func signed() throws(WALIndexError) -> Int64 {
    let value = try unsigned()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }
  mutating func text(_ count: Int) throws(WALIndexError) -> String {
    guard left >= count else { throw .malformed }
    defer { position += count }
    return String(decoding: bytes[position..<position + count], as: UTF8.self)
  }
}
