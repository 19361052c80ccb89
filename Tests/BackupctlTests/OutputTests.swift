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
    "drop columns until they fit",
    arguments: [
      (80, "NAME       SIZE  NOTE"), (22, "NAME       SIZE"), (12, "NAME"), (2, "NAME"),
    ])
  func drops(width: Int, heading: String) {
    #expect(table.text(width: width).split(separator: "\n").first.map(String.init) == heading)
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
