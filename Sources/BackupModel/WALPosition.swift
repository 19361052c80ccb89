/// A position in the WAL: bytes since the beginning of the cluster's first timeline. Printed as PostgreSQL does.
public struct LSN: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public var value: UInt64
  public init(_ value: UInt64) { self.value = value }

  /// Parses `16/B374D848`.
  /// - Throws: ``FormatError`` for any other form.
  public init(_ text: String) throws(FormatError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    func isHex(_ part: Substring) -> Bool {
      (1...8).contains(part.utf8.count)
        && part.utf8.allSatisfy {
          (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0)
        }
    }
    guard parts.count == 2, isHex(parts[0]), isHex(parts[1]), let high = UInt64(parts[0], radix: 16),
      let low = UInt64(parts[1], radix: 16)
    else {
      throw .invalid(what: "LSN", text: text, expected: "two hexadecimal numbers, such as 16/B374D848")
    }
    value = high << 32 | low
  }

  public var description: String {
    String(value >> 32, radix: 16, uppercase: true) + "/" + String(value & 0xFFFF_FFFF, radix: 16, uppercase: true)
  }
  public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
  /// Stops at the last position there can be.
  public static func + (a: Self, bytes: UInt64) -> LSN {
    let (sum, overflow) = a.value.addingReportingOverflow(bytes)
    return LSN(overflow ? .max : sum)
  }
  /// Bytes from `b` to `a`; zero where `a` is not behind `b`.
  public static func - (a: Self, b: Self) -> UInt64 { a.value > b.value ? a.value - b.value : 0 }
  public init(from decoder: any Decoder) throws { try self.init(String(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try description.encode(to: encoder) }
}

/// A timeline, counted from 1.
public struct TimelineID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public var value: UInt32
  public init(_ value: UInt32) { self.value = value }
  public var description: String { String(value) }
  /// Eight upper-case hexadecimal digits, as in file names.
  public var fileText: String { Hexadecimal.padded(UInt64(value), digits: 8, uppercase: true) }
  /// `00000002.history`.
  public var historyFileName: String { fileText + ".history" }
  public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
  public init(from decoder: any Decoder) throws { value = try UInt32(from: decoder) }
  public func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}

/// Timeline and LSN. Printed `1/16B374D8` with the timeline in decimal before the LSN's two parts: `1:0/16B374D8`.
public struct WALPosition: Sendable, Hashable, Codable, CustomStringConvertible {
  public var timeline: TimelineID
  public var lsn: LSN
  public init(timeline: TimelineID, lsn: LSN) {
    self.timeline = timeline
    self.lsn = lsn
  }
  public var description: String { "\(timeline):\(lsn)" }
}

/// A cluster's `wal_segment_size`: a power of two from 1 MiB to 1 GiB.
public struct WALSegmentSize: Sendable, Hashable, Codable {
  public let bytes: UInt64
  /// - Throws: ``FormatError`` for any other size.
  public init(bytes: UInt64) throws(FormatError) {
    guard bytes.nonzeroBitCount == 1, (1 << 20...1 << 30).contains(bytes) else {
      throw .invalid(what: "WAL segment size", text: "\(bytes)", expected: "a power of two from 1 MiB to 1 GiB")
    }
    self.bytes = bytes
  }
  public static let standard = WALSegmentSize(unchecked: 16 << 20)
  private init(unchecked: UInt64) { bytes = unchecked }
  public init(from decoder: any Decoder) throws { try self.init(bytes: UInt64(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try bytes.encode(to: encoder) }
}

/// A WAL segment: timeline and number (start LSN divided by the segment size).
public struct WALSegment: Sendable, Hashable, Comparable {
  public var timeline: TimelineID
  public var number: UInt64

  public init(timeline: TimelineID, number: UInt64) {
    self.timeline = timeline
    self.number = number
  }
  /// The segment that holds the byte at this position.
  public init(timeline: TimelineID, holding lsn: LSN, size: WALSegmentSize) {
    self.init(timeline: timeline, number: lsn.value / size.bytes)
  }

  /// 24 hexadecimal digits; `16/B374D848` on timeline 1 in 16 MiB segments is `0000000100000016000000B3`.
  /// - SeeAlso: PostgreSQL source, `xlog_internal.h`, `XLogFileName`.
  public func name(size: WALSegmentSize) -> String {
    let perID = (1 << 32) / size.bytes
    return timeline.fileText + Hexadecimal.padded(number / perID, digits: 8, uppercase: true)
      + Hexadecimal.padded(number % perID, digits: 8, uppercase: true)
  }
  /// - Throws: ``FormatError`` where the text is not a segment's file name for this segment size.
  public init(name: String, size: WALSegmentSize) throws(FormatError) {
    let perID = (1 << 32) / size.bytes
    guard name.utf8.count == 24,
      name.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }),
      let timeline = UInt32(name.prefix(8), radix: 16), timeline > 0,
      let high = UInt64(name.dropFirst(8).prefix(8), radix: 16), let low = UInt64(name.suffix(8), radix: 16),
      low < perID
    else {
      throw .invalid(
        what: "WAL segment name", text: name,
        expected: "24 upper-case hexadecimal digits, such as 0000000100000016000000B3")
    }
    self.init(timeline: TimelineID(timeline), number: high * perID + low)
  }
  /// The last position there can be for a number that no server reaches, as a hostile name may hold.
  public func start(size: WALSegmentSize) -> LSN {
    let (product, overflow) = number.multipliedReportingOverflow(by: size.bytes)
    return LSN(overflow ? .max : product)
  }
  public func end(size: WALSegmentSize) -> LSN { start(size: size) + size.bytes }
  public var next: WALSegment { WALSegment(timeline: timeline, number: number &+ 1) }
  public static func < (a: Self, b: Self) -> Bool { (a.timeline, a.number) < (b.timeline, b.number) }
}

/// The lines of a timeline history file: which timelines came before and where each was left.
/// - SeeAlso: PostgreSQL source, `timeline.c`, `readTimeLineHistory`.
public struct TimelineHistory: Sendable, Hashable {
  public struct Entry: Sendable, Hashable {
    public var timeline: TimelineID
    /// The position at which the next timeline left this one.
    public var end: LSN
  }
  public var timeline: TimelineID
  /// Parents, oldest first.
  public var entries: [Entry]

  /// - Throws: ``FormatError`` for a line PostgreSQL would not read, or timelines that do not rise.
  public init(timeline: TimelineID, text: String) throws(FormatError) {
    self.timeline = timeline
    entries = []
    for line in text.split(whereSeparator: \.isNewline) {
      let content = line.drop { $0 == " " || $0 == "\t" }
      if content.isEmpty || content.first == "#" { continue }
      let fields = content.split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard fields.count >= 2, let number = UInt32(fields[0]), let end = try? LSN(String(fields[1])),
        number < timeline.value, number > entries.last?.timeline.value ?? 0
      else {
        throw .invalid(what: "timeline history line", text: String(line), expected: "a lower timeline and an LSN")
      }
      entries.append(Entry(timeline: TimelineID(number), end: end))
    }
  }
}
