internal import BackupModel

/// A `TZ` rule such as `CET-1CEST,M3.5.0,M10.5.0/3`: what a zone's file says of the years after its last transition.
/// - SeeAlso: POSIX, "Environment Variables", `TZ`; RFC 8536, section 3.3.
struct PosixZone: Sendable, Hashable {
  /// A day of the year and seconds after its midnight.
  struct Rule: Sendable, Hashable {
    enum Day: Sendable, Hashable {
      /// `Jn`: 1 to 365, 29 February never counted.
      case julian(Int)
      /// `n`: 0 to 365, 29 February counted.
      case zeroBased(Int)
      /// `Mm.w.d`: weekday d of week w of month m, week 5 being the last.
      case weekday(month: Int, week: Int, day: Int)
    }
    var day: Day
    var seconds: Int
  }
  struct Daylight: Sendable, Hashable {
    var offset: Int
    var start: Rule
    var end: Rule
  }
  var standardOffset: Int
  var daylight: Daylight?

  func offset(at time: Int64) -> Int {
    transitions(around: time).last { $0.at <= time }?.offset ?? standardOffset
  }

  /// Every change of the years before, of and after `time`, in order. Changes at the same second leave the last.
  func transitions(around time: Int64) -> [(at: Int64, offset: Int)] {
    guard let daylight else { return [] }
    let year = Timestamp(seconds: time).civil.year
    var changes: [(at: Int64, offset: Int)] = []
    for year in (year - 1)...(year + 1) {
      guard let start = daylight.start.local(year: year), let end = daylight.end.local(year: year) else { continue }
      changes.append((start - Int64(standardOffset), daylight.offset))
      changes.append((end - Int64(daylight.offset), standardOffset))
    }
    // An end and the next start at the same second are a year that is all daylight: the start comes second.
    return changes.sorted {
      ($0.at, $0.offset == daylight.offset ? 1 : 0) < ($1.at, $1.offset == daylight.offset ? 1 : 0)
    }
  }
}

extension PosixZone.Rule {
  /// Seconds since 1970 on the wall's clock; nil outside the years 1 to 9999.
  func local(year: Int) -> Int64? {
    guard let newYear = Timestamp(year: year, month: 1, day: 1, hour: 0, minute: 0, second: 0) else { return nil }
    switch day {
    case .julian(let number):
      let isLeap = Timestamp.days(inMonth: 2, year: year) == 29
      let days = number - 1 + (isLeap && number >= 60 ? 1 : 0)
      return newYear.seconds + Int64(days * 86400 + seconds)
    case .zeroBased(let number):
      return newYear.seconds + Int64(number * 86400 + seconds)
    case .weekday(let month, let week, let weekday):
      guard let first = Timestamp(year: year, month: month, day: 1, hour: 0, minute: 0, second: 0) else { return nil }
      var day = 1 + (weekday - first.civil.weekday + 7) % 7 + (week - 1) * 7
      if day > Timestamp.days(inMonth: month, year: year) { day -= 7 }
      return first.seconds + Int64((day - 1) * 86400 + seconds)
    }
  }
}

extension PosixZone {
  /// Nil where the text is not a `TZ` rule.
  init?(_ text: String) {
    var reader = Reader(rest: Substring(text))
    guard reader.name(), let standard = reader.time(maximumHours: 24) else { return nil }
    standardOffset = -standard
    guard !reader.rest.isEmpty else { return }
    guard reader.name() else { return nil }
    var offset = standardOffset + 3600
    if let first = reader.rest.first, first != "," {
      guard let explicit = reader.time(maximumHours: 24) else { return nil }
      offset = -explicit
    }
    // Without rules POSIX leaves the choice to the system; the C library takes those of the United States.
    if reader.rest.isEmpty { reader.rest = ",M3.2.0,M11.1.0" }
    guard let start = reader.rule(), let end = reader.rule(), reader.rest.isEmpty else { return nil }
    daylight = Daylight(offset: offset, start: start, end: end)
  }

  private struct Reader {
    var rest: Substring

    mutating func take(_ character: Character) -> Bool {
      guard rest.first == character else { return false }
      rest = rest.dropFirst()
      return true
    }

    mutating func name() -> Bool {
      if take("<") {
        let quoted = rest.prefix { $0 != ">" }
        rest = rest.dropFirst(quoted.count)
        return !quoted.isEmpty && take(">")
      }
      let letters = rest.prefix { $0.isASCII && $0.isLetter }
      rest = rest.dropFirst(letters.count)
      return letters.count >= 3
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int? {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      guard (1...3).contains(digits.count), let value = Int(digits), range.contains(value) else { return nil }
      rest = rest.dropFirst(digits.count)
      return value
    }

    /// `[+-]hh[:mm[:ss]]` as seconds.
    mutating func time(maximumHours: Int) -> Int? {
      let sign = take("-") ? -1 : 1
      if sign == 1 { _ = take("+") }
      guard let hours = number(0...maximumHours) else { return nil }
      var seconds = hours * 3600
      if take(":") {
        guard let minutes = number(0...59) else { return nil }
        seconds += minutes * 60
        if take(":") {
          guard let more = number(0...59) else { return nil }
          seconds += more
        }
      }
      return sign * seconds
    }

    mutating func rule() -> Rule? {
      guard take(","), let day = day() else { return nil }
      guard take("/") else { return Rule(day: day, seconds: 7200) }
      guard let seconds = time(maximumHours: 167) else { return nil }
      return Rule(day: day, seconds: seconds)
    }

    private mutating func day() -> Rule.Day? {
      if take("J") { return number(1...365).map { .julian($0) } }
      guard take("M") else { return number(0...365).map { .zeroBased($0) } }
      guard let month = number(1...12), take("."), let week = number(1...5), take("."), let day = number(0...6) else {
        return nil
      }
      return .weekday(month: month, week: week, day: day)
    }
  }
}
