/// A number of bytes; prints in binary units.
public struct ByteCount: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public var value: Int64
  public init(_ value: some BinaryInteger) { self.value = Int64(clamping: value) }
  public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
  /// Stops at the largest there can be.
  public static func + (a: Self, b: Self) -> ByteCount {
    let (sum, overflow) = a.value.addingReportingOverflow(b.value)
    return ByteCount(overflow ? (a.value < 0 ? .min : .max) : sum)
  }
  public init(from decoder: any Decoder) throws { value = try Int64(from: decoder) }
  public func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }

  /// `512 B`, `1.5 MiB`.
  public var description: String {
    var size = Double(value)
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
      if abs(size) < 1024 || unit == "TiB" {
        if unit == "B" { return "\(value) B" }
        let tenths = Int((size * 10).rounded())
        return "\(tenths / 10).\(abs(tenths) % 10) \(unit)"
      }
      size /= 1024
    }
    return "\(value) B"
  }

  /// Parses `32MiB`, `1.5GiB`, `512`: binary units `KiB MiB GiB TiB` (also `K M G T`), decimal `kB MB GB TB`.
  /// - Throws: ``FormatError`` for any other form.
  public init(_ text: String) throws(FormatError) {
    let units: [(String, Double)] = [
      ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776), ("kB", 1e3), ("MB", 1e6),
      ("GB", 1e9), ("TB", 1e12), ("K", 1024), ("M", 1_048_576), ("G", 1_073_741_824), ("T", 1_099_511_627_776),
      ("B", 1), ("", 1),
    ]
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = text.dropFirst(number.count).drop { $0 == " " }
    guard let value = Double(number), let factor = units.first(where: { $0.0 == unit })?.1,
      value * factor < 9e18
    else { throw .invalid(what: "size", text: text, expected: "a number and a unit, such as 32MiB") }
    self.value = Int64(value * factor)
  }
}

/// Durations as the configuration writes them.
public enum DurationText {
  /// Parses `5m`, `1h30m`, `30d`, `10s`, `250ms`, `2w`.
  /// - Throws: ``FormatError`` for any other form, a bare number among them.
  public static func parse(_ text: String) throws(FormatError) -> Duration {
    let failure = FormatError.invalid(
      what: "duration", text: text, expected: "numbers with units ms, s, m, h, d or w, such as 5m or 1h30m")
    var rest = Substring(text)
    var total: Double = 0
    guard !rest.isEmpty else { throw failure }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { $0.isLetter }
      rest = rest.dropFirst(unit.count)
      let factors: [Substring: Double] = ["ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800]
      guard let value = Double(number), let factor = factors[unit] else { throw failure }
      total += value * factor
    }
    guard total < 1e11 else { throw failure }
    return .microseconds(Int64((total * 1e6).rounded()))
  }

  /// `1h30m`, `5m`, `250ms`: the two largest units that are not zero.
  public static func format(_ duration: Duration) -> String {
    let microseconds = duration.microseconds
    if microseconds < 0 { return "-" + format(.zero - duration) }
    if microseconds < 1_000_000 { return "\(microseconds / 1000)ms" }
    var seconds = microseconds / 1_000_000
    if seconds < 10, microseconds % 1_000_000 >= 100_000 { return "\(seconds).\(microseconds % 1_000_000 / 100_000)s" }
    var parts: [String] = []
    for (unit, size) in [("d", Int64(86400)), ("h", 3600), ("m", 60), ("s", 1)] where seconds >= size || unit == "s" {
      let count = seconds / size
      seconds %= size
      if count > 0 || parts.isEmpty { parts.append("\(count)\(unit)") }
      if parts.count == 2 { break }
    }
    return parts.joined()
  }
}

/// How long backups of a job are kept: a span, a number of them, or both wherever either keeps it.
public struct RetentionPolicy: Sendable, Hashable {
  /// Keep what is younger than this.
  public var spanSeconds: Int64?
  /// Keep the newest so many.
  public var count: Int?
  /// A span never leaves fewer than this.
  public var atLeast: Int
  /// Keep the newest of each of the latest so many periods that have any.
  public var periods: [RetentionPeriod: Int]
  public init(
    spanSeconds: Int64? = nil, count: Int? = nil, atLeast: Int = 2, periods: [RetentionPeriod: Int] = [:]
  ) {
    self.spanSeconds = spanSeconds
    self.count = count
    self.atLeast = atLeast
    self.periods = periods
  }
}

extension Duration {
  /// Without its sign.
  public var magnitude: Duration { self < .zero ? .zero - self : self }
}

extension RetentionPolicy {
  /// `30d`, `the newest 7`, or both.
  public var text: String {
    [
      spanSeconds.map { "\(DurationText.format(.seconds($0))), at least \(atLeast)" },
      count.map { "the newest \($0)" },
      periods.isEmpty
        ? nil
        : RetentionPeriod.allCases.compactMap { period in
          periods[period].map { "\(period.rawValue) \($0)" }
        }.joined(separator: ", "),
    ].compactMap { $0 }.joined(separator: " and ")
  }
}
