#if canImport(Glibc)
  import Glibc
#endif

/// A point in time, in microseconds since 1970-01-01T00:00:00Z: PostgreSQL's own resolution, so that a recovery target
/// survives every conversion. Times in text are RFC 3339 with a zone.
public struct Timestamp: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  public var microseconds: Int64

  public init(microseconds: Int64) { self.microseconds = microseconds }
  /// - Parameter seconds: What lies beyond the range of microseconds becomes its end.
  public init(seconds: Int64) { microseconds = Duration.seconds(seconds).microseconds }

  /// Microseconds between the Unix epoch and PostgreSQL's, 2000-01-01T00:00:00Z.
  /// - SeeAlso: PostgreSQL source, `timestamp.h`, `POSTGRES_EPOCH_JDATE`.
  private static let postgresEpoch: Int64 = 946_684_800_000_000
  /// A `TimestampTz` as PostgreSQL keeps it: microseconds since 2000-01-01T00:00:00Z.
  public init(postgres: Int64) { microseconds = postgres &+ Self.postgresEpoch }
  public var postgres: Int64 { microseconds &- Self.postgresEpoch }

  /// The system's clock.
  public static func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }

  /// Whole seconds since the epoch, rounded down.
  public var seconds: Int64 { microseconds / 1_000_000 - (microseconds % 1_000_000 < 0 ? 1 : 0) }
  public var subsecondMicroseconds: Int64 {
    let rest = microseconds % 1_000_000
    return rest < 0 ? rest + 1_000_000 : rest
  }

  public static func < (a: Self, b: Self) -> Bool { a.microseconds < b.microseconds }
  // Times come from the network and from disk: what leaves the range stops at its end.
  public static func - (a: Self, b: Self) -> Duration { .microseconds(a.microseconds) - .microseconds(b.microseconds) }
  public static func + (a: Self, b: Duration) -> Timestamp {
    Timestamp(microseconds: (.microseconds(a.microseconds) + .microseconds(b.microseconds)).microseconds)
  }
  public static func - (a: Self, b: Duration) -> Timestamp {
    Timestamp(microseconds: (.microseconds(a.microseconds) - .microseconds(b.microseconds)).microseconds)
  }

  /// RFC 3339 in UTC: `2026-11-02T03:00:00Z`, with six decimals where there is a fraction.
  public var description: String { text(offsetSeconds: 0) }

  /// RFC 3339 at the given offset east of UTC, in seconds (whole minutes).
  public func text(offsetSeconds: Int) -> String {
    let shifted = self + .seconds(offsetSeconds)
    let c = shifted.civil
    var text =
      "\(pad(c.year, 4))-\(pad(c.month, 2))-\(pad(c.day, 2))T\(pad(c.hour, 2)):\(pad(c.minute, 2)):\(pad(c.second, 2))"
    let fraction = shifted.subsecondMicroseconds
    if fraction != 0 { text += "." + pad(Int(fraction), 6) }
    if offsetSeconds == 0 { return text + "Z" }
    let minutes = abs(offsetSeconds) / 60
    return text + (offsetSeconds < 0 ? "-" : "+") + pad(minutes / 60, 2) + ":" + pad(minutes % 60, 2)
  }

  /// `20261102T030000Z`: the form that ids begin with.
  public var compact: String {
    let c = civil
    return
      "\(pad(c.year, 4))\(pad(c.month, 2))\(pad(c.day, 2))T\(pad(c.hour, 2))\(pad(c.minute, 2))\(pad(c.second, 2))Z"
  }

  public init?(compact text: String) {
    let b = Array(text.utf8)
    guard b.count == 16, b[8] == 0x54, b[15] == 0x5A else { return nil }
    func number(_ range: Range<Int>) -> Int? {
      var value = 0
      for byte in b[range] {
        guard (0x30...0x39).contains(byte) else { return nil }
        value = value * 10 + Int(byte - 0x30)
      }
      return value
    }
    guard let year = number(0..<4), let month = number(4..<6), let day = number(6..<8), let hour = number(9..<11),
      let minute = number(11..<13), let second = number(13..<15),
      let time = Timestamp(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    else { return nil }
    self = time
  }

  /// Parses RFC 3339, with `T` or a space between date and time, one to nine decimals and a zone: `Z`, `+02:00`,
  /// `+0200` or `+02`.
  /// - Throws: ``FormatError`` where the text has another form, no zone, or names no such day or time.
  public init(rfc3339 text: String) throws(FormatError) {
    guard let parsed = CivilText(text), let offset = parsed.offsetSeconds else {
      throw .invalid(
        what: "time", text: text, expected: "a date, a time and a zone, such as \"2026-11-02 03:00:00+00:00\"")
    }
    self.init(microseconds: parsed.asUTC.microseconds - Int64(offset) * 1_000_000)
  }

  public init(from decoder: any Decoder) throws { try self.init(rfc3339: String(from: decoder)) }
  public func encode(to encoder: any Encoder) throws { try description.encode(to: encoder) }

  /// UTC calendar fields.
  public struct Civil: Sendable, Hashable {
    public var year, month, day, hour, minute, second: Int
    /// 0 is Sunday.
    public var weekday: Int
  }

  /// The proleptic Gregorian calendar in UTC, from days by Howard Hinnant's `civil_from_days`.
  public var civil: Civil {
    let total = seconds
    var days = total / 86400
    var rest = total % 86400
    if rest < 0 {
      rest += 86400
      days -= 1
    }
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let weekday = ((days % 7) + 11) % 7
    return Civil(
      year: Int(year), month: Int(month), day: Int(day), hour: Int(rest / 3600), minute: Int(rest / 60 % 60),
      second: Int(rest % 60), weekday: Int(weekday))
  }

  /// The instant of UTC calendar fields; nil where there is no such day or time.
  public init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, microsecond: Int = 0) {
    guard (1...9999).contains(year), (1...12).contains(month),
      (1...Self.days(inMonth: month, year: year)).contains(day),
      (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    let y = month <= 2 ? year - 1 : year
    let era = y / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = Int64(era * 146_097 + dayOfEra - 719_468)
    let total = days * 86400 + Int64(hour * 3600 + minute * 60 + second)
    microseconds = total * 1_000_000 + Int64(microsecond)
  }

  public static func days(inMonth month: Int, year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}

/// A date and time as written, its zone perhaps missing: what a person typed before a zone has been settled.
public struct CivilText: Sendable, Hashable {
  /// The fields read as if they were UTC.
  public var asUTC: Timestamp
  /// Seconds east of UTC; nil where the text names no zone.
  public var offsetSeconds: Int?

  /// Nil where the text is not `YYYY-MM-DD[T ]HH:MM[:SS[.fraction]][zone]`.
  public init?(_ text: String) {
    var input = Substring(text)
    func number(_ digits: Int) -> Int? {
      guard input.utf8.prefix(digits).count == digits,
        input.utf8.prefix(digits).allSatisfy({ (0x30...0x39).contains($0) })
      else { return nil }
      defer { input = input.dropFirst(digits) }
      return Int(input.prefix(digits))
    }
    func take(_ characters: String) -> Character? {
      guard let first = input.first, characters.contains(first) else { return nil }
      input = input.dropFirst()
      return first
    }
    guard let year = number(4), take("-") != nil, let month = number(2), take("-") != nil, let day = number(2),
      take("Tt ") != nil, let hour = number(2), take(":") != nil, let minute = number(2)
    else { return nil }
    var second = 0
    var microsecond = 0
    if take(":") != nil {
      guard let value = number(2), value < 60 else { return nil }
      second = value
      if take(".,") != nil {
        let digits = input.utf8.prefix { (0x30...0x39).contains($0) }
        guard (1...9).contains(digits.count) else { return nil }
        microsecond = Int((String(Substring(digits)) + "000000").prefix(6)) ?? 0
        input = input.dropFirst(digits.count)
      }
    }
    guard
      let time = Timestamp(
        year: year, month: month, day: day, hour: hour, minute: minute, second: second, microsecond: microsecond)
    else { return nil }
    asUTC = time
    if input.first == " ", input.dropFirst().first.map({ "+-Z".contains($0) }) == true { input = input.dropFirst() }
    if take("Zz") != nil {
      offsetSeconds = 0
    } else if let sign = take("+-") {
      guard let hours = number(2), hours <= 15 else { return nil }
      var minutes = 0
      if take(":") != nil || !input.isEmpty {
        guard let value = number(2), value < 60 else { return nil }
        minutes = value
      }
      offsetSeconds = (sign == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
    }
    guard input.isEmpty else { return nil }
  }
}

private func pad(_ value: Int, _ digits: Int) -> String {
  let text = String(value)
  return text.count >= digits ? text : String(repeating: "0", count: digits - text.count) + text
}

extension Duration {
  /// Whole microseconds, saturating.
  public var microseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    let (sum, outside) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000)
    return overflow || outside ? (seconds < 0 ? .min : .max) : sum
  }
  /// Seconds with a fraction, for records and messages.
  public var secondsValue: Double { Double(microseconds) / 1e6 }
}
