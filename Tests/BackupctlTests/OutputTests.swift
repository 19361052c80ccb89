import BackupModel
import Scheduling
import Testing

@testable import backupctl

@Suite("Tables") struct TableTests {
  private var table: Table {
    var table = Table([.text("NAME"), .number("SIZE", drop: 1), .text("NOTE", drop: 2)])
    table.rows = [["a", "10 B", "first"], ["long-name", "9 B", "second"]]
    return table
  }

  @Test("align their columns and leave nothing after the last word of a line")
  func aligns() {
    let lines = table.text(width: nil).split(separator: "\n")
    #expect(lines == ["NAME       SIZE  NOTE", "a          10 B  first", "long-name   9 B  second"])
  }

  @Test(
    "leave columns out until they fit",
    arguments: [
      (80, "NAME       SIZE  NOTE"), (22, "NAME       SIZE"), (12, "NAME"), (2, "NAME"),
    ])
  func leavesOut(width: Int, heading: String) {
    #expect(table.text(width: width).split(separator: "\n").first.map(String.init) == heading)
  }

  /// Two columns of words, the second less important, around an id and an LSN.
  private var words: Table {
    var table = Table([.exact("ID"), .text("JOB", drop: 1), .exact("LSN", drop: 3), .text("REASON", drop: 2)])
    table.rows = [
      ["20261102T020000Z-kqwzxmbt", "a-job-of-20-letters!", "16/B374D848", "a reason of 26 letters, yes"]
    ]
    return table
  }

  @Test(
    "shorten words, the least important first, and nothing else",
    arguments: [
      (90, "20261102T020000Z-kqwzxmbt  a-job-of-20-letters!  16/B374D848  a reason of 26 letters, yes"),
      (80, "20261102T020000Z-kqwzxmbt  a-job-of-20-letters!  16/B374D848  a reason of 26 le…"),
      (72, "20261102T020000Z-kqwzxmbt  a-job-of-20-letters!  16/B374D848  a reason…"),
      (66, "20261102T020000Z-kqwzxmbt  a-job-of-20-l…  16/B374D848  a reason…"),
      // Without the LSN there is room for the words again.
      (60, "20261102T020000Z-kqwzxmbt  a-job-of-20-letters!  a reason o…"),
      (40, "20261102T020000Z-kqwzxmbt  a-job-of-20-…"), (10, "20261102T020000Z-kqwzxmbt"),
    ])
  func shortens(width: Int, row: String) {
    let text = words.text(width: width).split(separator: "\n").last.map(String.init)
    #expect(text == row)
    if width >= 25 { #expect(row.count <= width) }
  }

  @Test("that nobody looks at are as wide as they like")
  func unlimited() { #expect(words.text(width: nil).contains("16/B374D848  a reason of 26 letters, yes")) }
}

@Suite("Times for people") struct LocalTimeTests {
  private let now = try! Timestamp(rfc3339: "2026-11-02T05:00:00Z")
  private func clock(isBrief: Bool) throws -> LocalTime {
    LocalTime(zone: try TimeZoneRules(posix: "CET-1CEST,M3.5.0,M10.5.0/3"), isBrief: isBrief)
  }

  @Test(
    "are absolute and relative at once: short on a terminal, whole elsewhere",
    arguments: [
      ("2026-11-02T02:00:00Z", "03:00 (3h ago)", "2026-11-02T03:00:00+01:00 (3h ago)"),
      ("2026-11-02T05:01:30Z", "06:01 (in 90s)", "2026-11-02T06:01:30+01:00 (in 90s)"),
      // Yesterday by the clock of the zone.
      ("2026-11-01T22:30:00Z", "2026-11-01 23:30 (6h ago)", "2026-11-01T23:30:00+01:00 (6h ago)"),
      ("2026-11-01T23:30:00Z", "00:30 (5h ago)", "2026-11-02T00:30:00+01:00 (5h ago)"),
      ("2026-10-01T02:00:00Z", "2026-10-01 04:00 (32d ago)", "2026-10-01T04:00:00+02:00 (32d ago)"),
      ("2026-11-02T05:00:00.4Z", "06:00 (now)", "2026-11-02T06:00:00+01:00 (now)"),
    ])
  func listed(time: String, short: String, whole: String) throws {
    #expect(try clock(isBrief: true).listed(Timestamp(rfc3339: time), now: now) == short)
    #expect(try clock(isBrief: false).listed(Timestamp(rfc3339: time), now: now) == whole)
    #expect(try clock(isBrief: true).full(Timestamp(rfc3339: time), now: now) == whole)
  }

  @Test(
    "count in the unit that says enough",
    arguments: [(119, "119s ago"), (120, "2m ago"), (7199, "119m ago"), (7200, "2h ago"), (172_800, "2d ago")])
  func relative(seconds: Int64, text: String) {
    #expect(LocalTime.relative(now - .seconds(seconds), to: now) == text)
  }
}

@Suite("A screen that is drawn over") struct ScreenTests {
  private let text = (1...10).map { "line \($0)" }.joined(separator: "\n")

  @Test("shows what it has room for, and says what it has not")
  func fits() {
    #expect(Screen.fitting(text, columns: 80, rows: 10) == text)
    #expect(Screen.fitting(text, columns: 80, rows: 4) == "line 1\nline 2\nline 3\n… 7 more lines")
  }

  @Test("counts lines that wrap as often as they do, colours not at all")
  func wraps() {
    #expect(Screen.fitting("0123456789\na\nb", columns: 5, rows: 3) == "0123456789\n… 2 more lines")
    #expect(Screen.fitting("\u{1B}[31m01234\u{1B}[0m\na\nb", columns: 5, rows: 3) == "\u{1B}[31m01234\u{1B}[0m\na\nb")
  }
}

@Suite("JSON documents") struct JSONValueTests {
  @Test("sort their keys, write null for what is not known, and escape what JSON demands")
  func writes() {
    let none: BackupID? = nil
    let value = JSONValue.fields([
      "b": "quote \" slash \\ line\n bell\u{7} \u{e4}", "a": none, "c": [1, 2], "d": [String](), "e": 1.5,
    ])
    let expected = """
      {
        "a": null,
        "b": "quote \\" slash \\\\ line\\n bell\\u0007 \u{e4}",
        "c": [
          1,
          2
        ],
        "d": [],
        "e": 1.5
      }
      """
    #expect(value.text == expected)
  }
}

@Suite("Progress") struct ProgressMeterTests {
  private let half = RunProgress(phase: "copy", doneBytes: ByteCount(1 << 30), totalBytes: ByteCount(2 << 30))

  @Test("tells share, rate and time left")
  func line() {
    let rate = Double(100 << 20)
    #expect(ProgressMeter.line(half, rate: rate) == "copy  50% of 2.0 GiB  100.0 MiB/s  11s left")
  }

  @Test("never fills more than the line", arguments: [1, 10, 30, 60, 80, 200])
  func fits(width: Int) {
    #expect(ProgressMeter.bar(half, rate: Double(100 << 20), width: width).count <= width)
  }

  @Test("needs no total, and survives one that was too low")
  func withoutTotal() {
    #expect(ProgressMeter.line(RunProgress(phase: "sync"), rate: 0) == "sync")
    let over = RunProgress(phase: "copy", doneBytes: ByteCount(3), totalBytes: ByteCount(2))
    #expect(ProgressMeter.line(over, rate: 0) == "copy  100% of 2 B")
  }
}

@Suite("Times an operator types") struct ZonedTimeTests {
  private let berlin: TimeZoneRules
  init() throws { berlin = try TimeZoneRules(posix: "CET-1CEST,M3.5.0,M10.5.0/3") }

  @Test("name their own zone, or are read by the given one")
  func settles() throws {
    let named = try ZonedTime("2026-11-02 03:00:00+00", in: berlin)
    #expect(named.time.description == "2026-11-02T03:00:00Z" && !named.isAssumed)
    let assumed = try ZonedTime("2026-11-02 03:00", in: berlin)
    #expect(assumed.time.description == "2026-11-02T02:00:00Z" && assumed.isAssumed)
  }

  @Test(
    "are refused where the clock showed them twice or never, naming both instants",
    arguments: [
      ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
      ("2026-03-29 02:30", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"),
    ])
  func refuses(text: String, first: String, second: String) {
    let error = #expect(throws: UsageError.self) { try ZonedTime(text, in: berlin) }
    #expect(error?.detail?.contains(first) == true && error?.detail?.contains(second) == true)
  }

  @Test("are refused where they are no times", arguments: ["13am", "", "2026-02-30 10:00", "tomorrow"])
  func refusesNonsense(text: String) {
    #expect(throws: UsageError.self) { try ZonedTime(text, in: berlin) }
  }
}
