public import BackupModel

/// When a job is due: five fields (minute, hour, day of month, month, day of week) as in `crontab(5)`.
///
/// Values, names (`mon`, `jan`), ranges, steps and lists; for days also `?` (any), `L` (the month's last day), `5L` (its
/// last Friday) and `5#2` (its second); `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`,
/// `@yearly`, `@annually`. Where both days are restricted, either is enough; a day field that begins with `*` counts as
/// unrestricted, and then both must match.
/// - SeeAlso: Vixie cron, `crontab(5)`; its manual page `cron(8)` for daylight saving time.
public struct CronExpression: Sendable, Hashable, CustomStringConvertible {
  /// The expression as written.
  public let text: String
  let minute: CronField
  let hour: CronField
  let dayOfMonth: CronField
  let month: CronField
  let dayOfWeek: CronField

  private static let nicknames = [
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
  ]

  /// - Throws: ``SchedulingError/cronInvalid(expression:problem:advice:)`` naming the field that is wrong.
  public init(_ text: String) throws(SchedulingError) {
    let trimmed = text.split(whereSeparator: { $0 == " " || $0 == "\t" })
    var fields = trimmed
    if let first = trimmed.first, first.hasPrefix("@") {
      guard trimmed.count == 1, let meaning = Self.nicknames[first.lowercased()] else {
        throw .cronInvalid(
          expression: text, problem: "There is no nickname \"\(trimmed.joined(separator: " ").prefix(40))\".",
          advice: "Known are " + Self.nicknames.keys.sorted().joined(separator: ", ") + ".")
      }
      fields = meaning.split(separator: " ")
    }
    guard fields.count == 5 else {
      throw .cronInvalid(
        expression: text, problem: "It has \(fields.count) fields instead of five.",
        advice: "Write minute, hour, day of month, month and day of week, such as \"0 2 * * *\" for 02:00 every day.")
    }
    do throws(CronFieldParser.Problem) {
      minute = try CronFieldParser.minute.parse(fields[0])
      hour = try CronFieldParser.hour.parse(fields[1])
      dayOfMonth = try CronFieldParser.dayOfMonth.parse(fields[2])
      month = try CronFieldParser.month.parse(fields[3])
      dayOfWeek = try CronFieldParser.dayOfWeek.parse(fields[4])
    } catch {
      throw .cronInvalid(expression: text, problem: error.text, advice: error.advice)
    }
    self.text = text
  }

  public var description: String { text }

  /// The first time this is due strictly after `time`, to the whole minute of the zone's clock.
  ///
  /// Where the clock jumps forward by less than three hours, a job with fixed minute and hour that was due in the
  /// skipped time is due right after the jump; where it goes back, such a job is due once, the first time. Jobs whose
  /// minute or hour begins with `*` go by the clock alone.
  /// - Returns: Nil where nothing is due within 48 years (30 February) or before the year 10000.
  /// - SeeAlso: `cron(8)` of Vixie cron, "Local time changes of less than three hours".
  public func next(after time: Timestamp, in zone: TimeZoneRules) -> Timestamp? {
    let first = time.seconds + 1
    guard (0...Self.lastSecond).contains(first) else { return nil }
    let limit = min(first + 48 * 366 * 86400, Self.lastSecond)
    var from = first
    while from <= limit {
      let span = zone.span(at: from)
      let end = min(span.end ?? limit + 1, limit + 1)
      var local = from + Int64(span.offset)
      if !followsClock, let jump = span.jump {
        if jump.isForward, from == jump.at, match(from: jump.localBefore, before: jump.localAfter) != nil {
          return Timestamp(seconds: from)
        }
        if !jump.isForward { local = max(local, jump.localBefore) }
      }
      if let due = match(from: local, before: end + Int64(span.offset)) {
        return Timestamp(seconds: due - Int64(span.offset))
      }
      from = end
    }
    return nil
  }

  /// Runs so often, or so loosely, that a changed clock needs no care.
  private var followsClock: Bool { minute.isStar || hour.isStar }

  /// 9999-12-31T23:59:59Z.
  private static let lastSecond: Int64 = 253_402_300_799

  /// The first matching minute of a clock that knows no jumps.
  /// - Parameters: Seconds since 1970 as the clock on the wall shows them.
  private func match(from start: Int64, before end: Int64) -> Int64? {
    let start = start + (60 - start % 60) % 60
    guard start >= 0, start < end else { return nil }
    let civil = Timestamp(seconds: start).civil
    if matchesDay(civil), let time = firstTime(hour: civil.hour, minute: civil.minute) {
      let due = start - start % 86400 + time
      return due < end ? due : nil
    }
    guard let time = firstTime(hour: 0, minute: 0) else { return nil }
    var day = start - start % 86400 + 86400
    while day < end {
      let civil = Timestamp(seconds: day).civil
      if !month.contains(civil.month) {
        // To the first of the next month at once, so that "30 February" costs hundreds of steps, not thousands.
        day += Int64(Timestamp.days(inMonth: civil.month, year: civil.year) - civil.day + 1) * 86400
      } else if matchesDay(civil) {
        return day + time < end ? day + time : nil
      } else {
        day += 86400
      }
    }
    return nil
  }

  private func matchesDay(_ civil: Timestamp.Civil) -> Bool {
    guard month.contains(civil.month) else { return false }
    let days = Timestamp.days(inMonth: civil.month, year: civil.year)
    let byMonth = dayOfMonth.containsDay(civil.day, of: days)
    let byWeek = dayOfWeek.containsWeekday(civil.weekday, day: civil.day, of: days)
    return dayOfMonth.isStar || dayOfWeek.isStar ? byMonth && byWeek : byMonth || byWeek
  }

  /// Seconds into the day of the first allowed minute that is not before the given one.
  private func firstTime(hour startHour: Int, minute startMinute: Int) -> Int64? {
    guard let hour = hour.first(from: startHour) else { return nil }
    if hour == startHour {
      if let minute = minute.first(from: startMinute) { return Int64(hour * 3600 + minute * 60) }
      guard let later = self.hour.first(from: hour + 1), let minute = minute.first(from: 0) else { return nil }
      return Int64(later * 3600 + minute * 60)
    }
    guard let minute = minute.first(from: 0) else { return nil }
    return Int64(hour * 3600 + minute * 60)
  }
}
