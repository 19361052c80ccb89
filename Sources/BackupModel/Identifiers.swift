/// A name that becomes part of object names and file names: lower-case letters, digits, `-` and `_`, at most 63
/// characters, beginning with a letter or digit.
public protocol Name: Sendable, Hashable, Comparable, Codable, CustomStringConvertible, RawRepresentable
where RawValue == String {
  /// What the name names, for messages: "cluster name".
  static var kind: String { get }
  init(unchecked: String)
}

extension Name {
  /// - Throws: ``FormatError`` where the text is not a name.
  public init(_ text: String) throws(FormatError) {
    let bytes = Array(text.utf8)
    func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
    guard (1...63).contains(bytes.count), isAlphanumeric(bytes[0]),
      bytes.allSatisfy({ isAlphanumeric($0) || $0 == 0x2D || $0 == 0x5F })
    else {
      throw .invalid(
        what: Self.kind, text: text,
        expected: "1 to 63 lower-case letters, digits, \"-\" and \"_\", beginning with a letter or digit")
    }
    self.init(unchecked: text)
  }

  public init?(rawValue: String) { try? self.init(rawValue) }
  public var description: String { rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

  public init(from decoder: any Decoder) throws {
    try self.init(String(from: decoder))
  }
  public func encode(to encoder: any Encoder) throws { try rawValue.encode(to: encoder) }
}

/// A PostgreSQL cluster as the configuration names it.
public struct ClusterID: Name {
  public static let kind = "cluster name"
  public let rawValue: String
  public init(unchecked: String) { rawValue = unchecked }
}

/// A job as the configuration names it.
public struct JobID: Name {
  public static let kind = "job name"
  public let rawValue: String
  public init(unchecked: String) { rawValue = unchecked }
}

/// A store as the configuration names it.
public struct StoreID: Name {
  public static let kind = "store name"
  public let rawValue: String
  public init(unchecked: String) { rawValue = unchecked }
}

/// A class of data with objectives of its own, as the configuration names it.
public struct TierID: Name {
  public static let kind = "tier name"
  public let rawValue: String
  public init(unchecked: String) { rawValue = unchecked }
}

/// A way alerts take, as the configuration names it.
public struct AlertChannelID: Name {
  public static let kind = "channel name"
  public let rawValue: String
  public init(unchecked: String) { rawValue = unchecked }
}

/// The system identifier that `initdb` gave a cluster. A lineage is one of these.
public struct SystemIdentifier: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public let value: UInt64
  public init(_ value: UInt64) { self.value = value }
  /// - Throws: ``FormatError`` where the text is not a decimal 64-bit number.
  public init(_ text: String) throws(FormatError) {
    guard let value = UInt64(text), value > 0 else {
      throw .invalid(what: "system identifier", text: text, expected: "a decimal number, as pg_controldata prints it")
    }
    self.value = value
  }
  public var description: String { String(value) }
  public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
  // A string in JSON: numbers above 2^53 do not survive every reader.
  public init(from decoder: any Decoder) throws { try self.init(String(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try description.encode(to: encoder) }
}

/// The identity of a repository object or key: 16 random bytes, printed as 32 hexadecimal digits.
public struct RandomID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  /// A new one from the system's random number generator.
  public static func random() -> RandomID {
    var generator = SystemRandomNumberGenerator()
    return RandomID(high: generator.next(), low: generator.next())
  }
  /// - Throws: ``FormatError`` where the text is not 32 lower-case hexadecimal digits.
  public init(_ text: String) throws(FormatError) {
    let bytes = Array(text.utf8)
    guard bytes.count == 32,
      bytes.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
      let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
    else {
      throw .invalid(what: "object id", text: text, expected: "32 lower-case hexadecimal digits")
    }
    self.init(high: high, low: low)
  }
  public var description: String { Hexadecimal.padded(high, digits: 16) + Hexadecimal.padded(low, digits: 16) }
  public static func < (a: Self, b: Self) -> Bool { (a.high, a.low) < (b.high, b.low) }
  public init(from decoder: any Decoder) throws { try self.init(String(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try description.encode(to: encoder) }
}

public typealias PackID = RandomID
public typealias KeyID = RandomID
public typealias RepositoryID = RandomID

/// One execution of a job: `<UTC start>-<8 random letters>`, sortable by time.
public struct RunID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public let text: String
  /// - Throws: ``FormatError`` where the text has another form.
  public init(_ text: String) throws(FormatError) {
    guard TimedID.parse(text) != nil else {
      throw .invalid(what: "run id", text: text, expected: "a run id such as 20261102T030000Z-kqzvtmhd")
    }
    self.text = text
  }
  public init(started: Timestamp) { text = TimedID.make(started) }
  public var description: String { text }
  public static func < (a: Self, b: Self) -> Bool { a.text < b.text }
  public init(from decoder: any Decoder) throws { try self.init(String(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try text.encode(to: encoder) }
}

/// One backup: `<UTC start>-<8 random letters>`. The time in it is for people; order is by sequence number.
public struct BackupID: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  /// Characters of its text, all ASCII.
  public static let length = 25
  public let text: String
  /// - Throws: ``FormatError`` where the text has another form.
  public init(_ text: String) throws(FormatError) {
    guard TimedID.parse(text) != nil else {
      throw .invalid(what: "backup id", text: text, expected: "a backup id such as 20261102T030000Z-kqzvtmhd")
    }
    self.text = text
  }
  public init(started: Timestamp) { text = TimedID.make(started) }
  /// The time in the id, whole seconds.
  public var started: Timestamp { TimedID.parse(text) ?? Timestamp(microseconds: 0) }
  /// Whether its time is more than a day ahead of a clock: ids are made of the time, and run ahead by seconds at most.
  public func isFarAhead(of now: Timestamp) -> Bool { started > now + .seconds(86400) }
  public var description: String { text }
  public static func < (a: Self, b: Self) -> Bool { a.text < b.text }
  public init(from decoder: any Decoder) throws { try self.init(String(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try text.encode(to: encoder) }
}

enum TimedID {
  /// The first and the last second that four digits of a year can name.
  private static let span = Timestamp(seconds: -62_135_596_800)...Timestamp(seconds: 253_402_300_799)

  /// Of the form that ``parse(_:)`` reads, whatever the clock says.
  static func make(_ time: Timestamp) -> String {
    let time = min(max(time, span.lowerBound), span.upperBound)
    var generator = SystemRandomNumberGenerator()
    let letters = String(
      decoding: (0..<8).map { _ in UInt8.random(in: 0x61...0x7A, using: &generator) }, as: UTF8.self)
    return time.compact + "-" + letters
  }
  static func parse(_ text: String) -> Timestamp? {
    let bytes = Array(text.utf8)
    guard bytes.count == 25, bytes[16] == 0x2D, bytes[17...].allSatisfy({ (0x61...0x7A).contains($0) }) else {
      return nil
    }
    return Timestamp(compact: String(decoding: bytes[..<16], as: UTF8.self))
  }
}

public enum Hexadecimal {
  public static func padded(_ value: UInt64, digits: Int, uppercase: Bool = false) -> String {
    let text = String(value, radix: 16, uppercase: uppercase)
    return text.count >= digits ? text : String(repeating: "0", count: digits - text.count) + text
  }
}

/// Bytes that must never be printed, logged or written to a state file.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  private let bytes: [UInt8]
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(_ text: String) { bytes = Array(text.utf8) }
  /// The bytes themselves. Whoever calls this keeps them out of every text.
  public func reveal() -> [UInt8] { bytes }
  public func revealText() -> String { String(decoding: bytes, as: UTF8.self) }
  public var description: String { "<redacted>" }
  public var debugDescription: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
