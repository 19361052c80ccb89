/// The values one field of a cron expression allows: bit n stands for n.
struct CronField: Sendable, Hashable {
  var bits: UInt64 = 0
  /// The field begins with `*`: what Vixie's cron calls a star, also where a step follows.
  var isStar = false
  /// Days of the month: `L`, its last.
  var isLastDay = false
  /// Days of the week, a bit each: `5L`, the last Friday of the month.
  var lastWeekdays: UInt8 = 0
  /// Days of the week, a bit each, by their place in the month: `5#2`, the second Friday.
  var placedWeekdays: [UInt8] = [0, 0, 0, 0, 0]

  /// Whether a day of a month of so many days is allowed, by its number.
  func containsDay(_ day: Int, of days: Int) -> Bool { contains(day) || (isLastDay && day == days) }

  /// Whether a day is allowed by its weekday, 0 for Sunday.
  func containsWeekday(_ weekday: Int, day: Int, of days: Int) -> Bool {
    let bit = UInt8(1) << UInt8(weekday)
    return contains(weekday) || (day > days - 7 && lastWeekdays & bit != 0)
      || placedWeekdays[(day - 1) / 7] & bit != 0
  }

  func contains(_ value: Int) -> Bool { (0...63).contains(value) && bits >> UInt64(value) & 1 == 1 }

  /// The lowest allowed value that is not below `value`.
  func first(from value: Int) -> Int? {
    guard value <= 63 else { return nil }
    let rest = bits & (UInt64.max << UInt64(max(value, 0)))
    return rest == 0 ? nil : rest.trailingZeroBitCount
  }
}

/// One of the five fields, and how it is read.
struct CronFieldParser {
  let name: String
  let range: ClosedRange<Int>
  /// Names for values, in order, the first standing for the range's lower bound.
  let names: [Substring]

  static let minute = CronFieldParser(name: "minute", range: 0...59, names: [])
  static let hour = CronFieldParser(name: "hour", range: 0...23, names: [])
  static let dayOfMonth = CronFieldParser(name: "day of month", range: 1...31, names: [])
  static let month = CronFieldParser(
    name: "month", range: 1...12,
    names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
  /// 7 is Sunday as well as 0.
  static let dayOfWeek = CronFieldParser(
    name: "day of week", range: 0...7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

  /// What is wrong with a field: a full sentence, and what to write instead.
  struct Problem: Error {
    var text: String
    var advice: String?
  }

  func parse(_ text: Substring) throws(Problem) -> CronField {
    if text == "?", isDay { return try parse("*") }
    var field = CronField(isStar: text.first == "*")
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      if try parsePlaced(part, into: &field) { continue }
      let (values, step) = try parsePart(part)
      for value in stride(from: values.lowerBound, through: values.upperBound, by: step) {
        field.bits |= 1 << UInt64(range.upperBound == 7 && value == 7 ? 0 : value)
      }
    }
    return field
  }

  private var isDay: Bool { range.upperBound == 31 || isWeekday }
  private var isWeekday: Bool { range.upperBound == 7 }

  /// `L` of the month; `5L` and `fri#2` of the week.
  /// - Returns: Whether it was one of these.
  private func parsePlaced(_ part: Substring, into field: inout CronField) throws(Problem) -> Bool {
    if range.upperBound == 31, part.lowercased() == "l" {
      field.isLastDay = true
      return true
    }
    guard isWeekday else { return false }
    if part.last?.lowercased() == "l" {
      guard part.count > 1 else {
        throw Problem(
          text: "In the \(name) field, \"\(part)\" names no day.",
          advice: "Write \"5L\" for the last Friday of the month.")
      }
      field.lastWeekdays |= 1 << UInt8(try value(part.dropLast()) % 7)
      return true
    }
    guard let sign = part.firstIndex(of: "#") else { return false }
    guard let place = Self.number(part[part.index(after: sign)...]), (1...5).contains(place) else {
      throw Problem(
        text: "In the \(name) field, \"\(part)\" does not end with a number from 1 to 5.",
        advice: "Write \"5#2\" for the second Friday of the month.")
    }
    field.placedWeekdays[place - 1] |= 1 << UInt8(try value(part[..<sign]) % 7)
    return true
  }

  private func parsePart(_ part: Substring) throws(Problem) -> (values: ClosedRange<Int>, step: Int) {
    let pieces = part.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let values = try parseRange(pieces[0])
    guard pieces.count == 2 else { return (values.range, 1) }
    guard let step = Self.number(pieces[1]), (1...range.upperBound).contains(step) else {
      throw Problem(text: "In the \(name) field, \"\(pieces[1])\" is not a step from 1 to \(range.upperBound).")
    }
    guard !values.isSingle else {
      throw Problem(
        text: "In the \(name) field, a step needs a range before it, not the single value \"\(pieces[0])\".",
        advice: "Write \"\(pieces[0])-\(range.upperBound)/\(step)\" or \"*/\(step)\".")
    }
    return (values.range, step)
  }

  private func parseRange(_ text: Substring) throws(Problem) -> (range: ClosedRange<Int>, isSingle: Bool) {
    if text == "*" { return (range.lowerBound...(range.upperBound == 7 ? 6 : range.upperBound), false) }
    let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let low = try value(ends[0])
    guard ends.count == 2 else { return (low...low, true) }
    var high = try value(ends[1])
    // A week written Monday to Sunday: its last day is 7 there.
    if range.upperBound == 7, high == 0, low > 0 { high = 7 }
    guard low <= high else {
      throw Problem(
        text: "In the \(name) field, the range \"\(text)\" ends before it begins.",
        advice: "Write two ranges: \"\(low)-\(range.upperBound),\(range.lowerBound)-\(high)\".")
    }
    return (low...high, false)
  }

  private func value(_ text: Substring) throws(Problem) -> Int {
    if let position = names.firstIndex(of: Substring(text.lowercased())) { return range.lowerBound + position }
    guard let number = Self.number(text), range.contains(number) else {
      let alternatives = names.isEmpty ? "" : " or a name such as \(names[1])"
      throw Problem(
        text: text.isEmpty
          ? "In the \(name) field a value is missing."
          : "In the \(name) field, \"\(text)\" is not a number from \(range.lowerBound) to \(range.upperBound)"
            + "\(alternatives).")
    }
    return number
  }

  private static func number(_ text: Substring) -> Int? {
    guard (1...4).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int(text)
  }
}
