import BackupModel
import Testing

@testable import Scheduling

@Suite("A cron expression") struct CronExpressionTests {
  @Test(
    "names the next time it is due, in UTC",
    arguments: [
      ("* * * * *", "2026-03-01T00:00:00Z", "2026-03-01T00:01:00Z"),
      ("* * * * *", "2026-03-01T00:00:00.500000Z", "2026-03-01T00:01:00Z"),
      ("* * * * *", "2026-02-28T23:59:59.999999Z", "2026-03-01T00:00:00Z"),
      ("*/15 * * * *", "2026-03-01T00:50:00Z", "2026-03-01T01:00:00Z"),
      ("0 2 * * *", "2026-03-01T01:59:59Z", "2026-03-01T02:00:00Z"),
      ("0 2 * * *", "2026-03-01T02:00:00Z", "2026-03-02T02:00:00Z"),
      ("30 1-5/2 * * *", "2026-03-01T01:30:00Z", "2026-03-01T03:30:00Z"),
      ("5,10,50-52 8 * * *", "2026-03-01T08:10:00Z", "2026-03-01T08:50:00Z"),
      ("59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
      ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
      ("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
      ("0 0 31 * *", "2026-04-01T00:00:00Z", "2026-05-31T00:00:00Z"),
      ("0 3 * * 0", "2026-11-02T00:00:00Z", "2026-11-08T03:00:00Z"),
      ("0 3 * * 7", "2026-11-02T00:00:00Z", "2026-11-08T03:00:00Z"),
      ("0 3 * * sun", "2026-11-02T00:00:00Z", "2026-11-08T03:00:00Z"),
      ("0 3 * * Fri-Sun", "2026-11-02T00:00:00Z", "2026-11-06T03:00:00Z"),
      ("0 3 * JAN,jul Mon-Fri", "2026-02-01T00:00:00Z", "2026-07-01T03:00:00Z"),
      ("0 3 * * 5-7", "2026-11-07T04:00:00Z", "2026-11-08T03:00:00Z"),
      // Both days restricted: either is enough.
      ("0 0 13 * fri", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"),
      ("0 0 13 * fri", "2026-11-12T00:00:00Z", "2026-11-13T00:00:00Z"),
      // A field that begins with "*" is unrestricted: both must match, so days 1, 11, 21, 31 that are Mondays.
      ("0 0 */10 * mon", "2026-11-01T00:00:00Z", "2026-12-21T00:00:00Z"),
      ("0 0 13 * */2", "2026-11-01T00:00:00Z", "2026-12-13T00:00:00Z"),
      // "?" is any day; "L" the last of the month, "5L" its last Friday, "5#2" its second.
      ("0 0 ? * mon", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
      ("0 0 1 * ?", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
      ("0 0 L * *", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"),
      ("0 0 l,15 * *", "2026-11-15T00:00:00Z", "2026-11-30T00:00:00Z"),
      ("0 0 * * 5L", "2026-11-01T00:00:00Z", "2026-11-27T00:00:00Z"),
      ("0 0 * * friL,7L", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
      ("0 0 * * fri#2", "2026-11-01T00:00:00Z", "2026-11-13T00:00:00Z"),
      ("0 0 * * 0#5", "2026-11-01T00:00:00Z", "2026-11-29T00:00:00Z"),
      ("0 0 * * 0#5", "2026-12-01T00:00:00Z", "2027-01-31T00:00:00Z"),
      ("0 0 L * mon#1", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
      ("0 0 L * mon#1", "2026-11-03T00:00:00Z", "2026-11-30T00:00:00Z"),
      ("@hourly", "2026-11-01T00:30:00Z", "2026-11-01T01:00:00Z"),
      ("@daily", "2026-11-01T00:30:00Z", "2026-11-02T00:00:00Z"),
      ("@midnight", "2026-11-01T00:30:00Z", "2026-11-02T00:00:00Z"),
      ("@weekly", "2026-11-02T00:30:00Z", "2026-11-08T00:00:00Z"),
      ("@monthly", "2026-11-02T00:30:00Z", "2026-12-01T00:00:00Z"),
      ("@yearly", "2026-11-02T00:30:00Z", "2027-01-01T00:00:00Z"),
      ("  0\t2 * * *  ", "2026-03-01T02:00:00Z", "2026-03-02T02:00:00Z"),
    ])
  func next(expression: String, after: String, expected: String) throws {
    let next = try CronExpression(expression).next(after: Timestamp(rfc3339: after), in: .utc)
    #expect(next == (try Timestamp(rfc3339: expected)))
  }

  @Test("is never due on a day that does not exist", arguments: ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
  func never(expression: String) throws {
    let zone = try TimeZoneRules(named: "Europe/Berlin")
    for time in ["2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
      #expect(try CronExpression(expression).next(after: Timestamp(rfc3339: time), in: zone) == nil)
    }
    #expect(try CronExpression("* * * * *").next(after: Timestamp(microseconds: .max), in: zone) == nil)
    #expect(try CronExpression("* * * * *").next(after: Timestamp(microseconds: -1 << 62), in: zone) == nil)
  }

  @Test(
    "says what is wrong with it",
    arguments: [
      ("", "fields"), ("* * * *", "four"), ("0 0 * * * *", "6 fields"), ("60 * * * *", "minute"),
      ("* 24 * * *", "hour"), ("* * 0 * *", "day of month"), ("* * * 13 *", "month"), ("* * * * 8", "day of week"),
      ("*/0 * * * *", "step"), ("5/10 * * * *", "range"), ("30-10 * * * *", "ends before"), ("1,,2 * * * *", "missing"),
      ("a * * * *", "minute"), ("* * * foo *", "month"), ("@reboot", "nickname"), ("@daily 1", "nickname"),
      ("1- * * * *", "missing"), ("-1 * * * *", "missing"), ("*/ * * * *", "step"),
      ("99999999999999 * * * *", "minute"),
      ("** * * * *", "minute"), ("٣ * * * *", "minute"), ("* L * * *", "hour"),
      ("* * * L *", "month"), ("* * 5L * *", "day of month"),
      ("* * * * L", "no day"),
      ("* * * * 5#6", "1 to 5"), ("* * * * 8#1", "day of week"),
      ("* * * * 1-2L", "day of week"),
      ("? * * * *", "minute"),
      ("* * 5#1 * *", "day of month"), ("* * ?,1 * *", "day of month"), ("* * * * #", "1 to 5"),
    ])
  func refuses(expression: String, word: String) {
    #expect {
      _ = try CronExpression(expression)
    } throws: { error in
      guard case SchedulingError.cronInvalid(_, let problem, _) = error else { return false }
      return problem.contains(word) || (word == "four" && problem.contains("4 fields"))
    }
  }

  @Test("never traps, whatever is written")
  func survivesNoise() {
    var random = SystemRandomNumberGenerator()
    let letters = Array("0123456789*/-,, @sunjanL#?\t")
    for _ in 0..<20_000 {
      let text = String(
        (0..<Int.random(in: 0...24, using: &random)).map { _ in letters.randomElement(using: &random)! })
      guard let expression = try? CronExpression(text) else { continue }
      _ = expression.next(after: Timestamp(seconds: .random(in: 0...4_000_000_000)), in: .utc)
    }
  }
}

@Suite("A cron expression under daylight saving time") struct CronDaylightTests {
  /// Every time an expression is due in a span, as UTC.
  static func due(_ expression: String, _ zone: String, from: String, to: String) throws -> [String] {
    let rules = try TimeZoneRules(named: zone)
    let expression = try CronExpression(expression)
    var times: [String] = []
    var time = try Timestamp(rfc3339: from)
    while let next = expression.next(after: time, in: rules), next <= (try Timestamp(rfc3339: to)) {
      times.append(next.text(offsetSeconds: rules.utcOffset(at: next)))
      time = next
    }
    return times
  }

  @Test(
    "runs a fixed time that the clock skips right after the jump, once",
    arguments: [
      (
        "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
      ),
      ("0,15,30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", ["2026-03-29T03:00:00+02:00"]),
      ("0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", ["2026-03-29T03:00:00+02:00"]),
      ("30 2 * * *", "America/New_York", "2026-03-08T01:00:00Z", ["2026-03-08T03:00:00-04:00"]),
      // Half an hour is skipped there: 02:00 becomes 02:30.
      ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", ["2026-10-04T02:30:00+11:00"]),
    ])
  func skipped(expression: String, zone: String, from: String, expected: [String]) throws {
    let end = (try Timestamp(rfc3339: from) + .seconds(expected.count == 1 ? 10 * 3600 : 40 * 3600)).description
    #expect(try Self.due(expression, zone, from: from, to: end) == expected)
  }

  @Test(
    "runs a fixed time that comes twice once, the first time",
    arguments: [
      (
        "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
      ),
      (
        "0,30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z",
        [
          "2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-02T01:00:00-05:00",
          "2026-11-02T01:30:00-05:00",
        ]
      ),
      (
        "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z",
        ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]
      ),
    ])
  func repeated(expression: String, zone: String, from: String, expected: [String]) throws {
    let end = (try Timestamp(rfc3339: from) + .seconds(45 * 3600)).description
    #expect(try Self.due(expression, zone, from: from, to: end) == expected)
  }

  @Test("does not run a fixed time again when asked within its repetition")
  func withinRepetition() throws {
    let zone = try TimeZoneRules(named: "Europe/Berlin")
    // 02:10 the second time: 02:30 has been run an hour before.
    let next = try CronExpression("30 2 * * *").next(after: Timestamp(rfc3339: "2026-10-25T02:10:00+01:00"), in: zone)
    #expect(next == (try Timestamp(rfc3339: "2026-10-26T02:30:00+01:00")))
  }

  @Test("goes by the clock where minute or hour is a star")
  func wildcards() throws {
    let spring = try Self.due(
      "0 * * * *", "Europe/Berlin", from: "2026-03-29T00:30:00+01:00", to: "2026-03-29T04:00:00+02:00")
    #expect(spring == ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"])
    let autumn = try Self.due(
      "0 * * * *", "Europe/Berlin", from: "2026-10-25T01:30:00+02:00", to: "2026-10-25T03:00:00+01:00")
    #expect(autumn == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"])
    let half = try Self.due("*/30 2 * * *", "Europe/Berlin", from: "2026-10-24T22:00:00Z", to: "2026-10-25T12:00:00Z")
    #expect(half.count == 4)
    #expect(
      try Self.due("*/30 2 * * *", "Europe/Berlin", from: "2026-03-28T22:00:00Z", to: "2026-03-29T12:00:00Z").isEmpty)
    let lordHowe = try Self.due(
      "*/10 * * * *", "Australia/Lord_Howe", from: "2026-04-04T14:00:00Z", to: "2026-04-04T16:00:00Z")
    #expect(lordHowe.count == 12)
  }

  @Test("does not run a day the clock left out, nor catches it up")
  func leftOutDay() throws {
    // Samoa had no 30 December 2011.
    let due = try Self.due(
      "0 12 * * *", "Pacific/Apia", from: "2011-12-29T12:00:00-10:00", to: "2011-12-31T23:00:00+14:00")
    #expect(due == ["2011-12-31T12:00:00+14:00"])
  }

  @Test(
    "is due every hour of a year in every zone it is tried in",
    arguments: ["Europe/Dublin", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns"])
  func everyHour(zone: String) throws {
    let rules = try TimeZoneRules(named: zone)
    let expression = try CronExpression("0 * * * *")
    var time = try Timestamp(rfc3339: "2026-01-01T00:00:00Z")
    let end = try Timestamp(rfc3339: "2027-01-01T00:00:00Z")
    var count = 0
    while let next = expression.next(after: time, in: rules), next <= end {
      #expect(next - time <= .seconds(3600))
      time = next
      count += 1
    }
    #expect((8758...8762).contains(count))
  }
}
