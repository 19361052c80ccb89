import BackupModel
import Foundation
import Testing

@Suite("Vocabulary") struct BackupModelTests {
  @Test(
    "times are read and written in RFC 3339",
    arguments: [
      ("2026-11-02T03:00:00Z", "2026-11-02T03:00:00Z"), ("2026-11-02 03:00:00.5+02:00", "2026-11-02T01:00:00.500000Z"),
      ("2026-11-02 03:00:00-0330", "2026-11-02T06:30:00Z"), ("2026-11-02T03:00+02", "2026-11-02T01:00:00Z"),
      ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"), ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
      ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"), ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
    ])
  func times(text: String, expected: String) throws {
    let time = try Timestamp(rfc3339: text)
    #expect(time.description == expected)
    #expect(try Timestamp(rfc3339: time.description) == time)
  }

  @Test(
    "times that do not exist, or name no zone, are refused",
    arguments: [
      "2026-11-02T03:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-02T24:00:00Z", "13am", "",
      "2026-11-02T03:00:00+25:00", "2026-11-02T03:00:00Zx", "２０２６-11-02T03:00:00Z",
    ])
  func refusedTimes(text: String) { #expect(throws: FormatError.self) { try Timestamp(rfc3339: text) } }

  @Test("times at the ends of the range print and add up without trapping")
  func extremeTimes() {
    for value in [Int64.min, .min + 1, -1, 0, 1, .max - 1, .max] {
      for time in [Timestamp(microseconds: value), Timestamp(postgres: value), Timestamp(seconds: value)] {
        #expect(time.subsecondMicroseconds >= 0 && time.subsecondMicroseconds < 1_000_000)
        _ = (time.description, time.compact, time.text(offsetSeconds: 3600), time.civil)
        _ = (time + .seconds(1), time - .seconds(1), time - Timestamp(microseconds: .min))
        _ = (time - Timestamp(microseconds: .max)).microseconds
      }
    }
    #expect(Timestamp(seconds: .max).microseconds == .max)
    #expect(Timestamp(microseconds: .max) + .seconds(1) == Timestamp(microseconds: .max))
    #expect(Timestamp(microseconds: -1).seconds == -1 && Timestamp(microseconds: -1_000_000).seconds == -1)
  }

  @Test("the calendar agrees with the C library's")
  func calendar() throws {
    for _ in 0..<2000 {
      let seconds = Int64.random(in: -62_135_596_800...253_402_300_799)
      let civil = Timestamp(seconds: seconds).civil
      var time = time_t(seconds)
      var fields = tm()
      gmtime_r(&time, &fields)
      #expect(civil.year == Int(fields.tm_year) + 1900 && civil.month == Int(fields.tm_mon) + 1)
      #expect(civil.day == Int(fields.tm_mday) && civil.hour == Int(fields.tm_hour))
      #expect(civil.weekday == Int(fields.tm_wday) && civil.second == Int(fields.tm_sec))
      #expect(
        Timestamp(
          year: civil.year, month: civil.month, day: civil.day, hour: civil.hour, minute: civil.minute,
          second: civil.second) == Timestamp(seconds: seconds))
    }
  }

  @Test("segments are named as PostgreSQL names them")
  func segments() throws {
    let lsn = try LSN("16/B374D848")
    #expect(lsn.description == "16/B374D848")
    let segment = WALSegment(timeline: TimelineID(1), holding: lsn, size: .standard)
    #expect(segment.name(size: .standard) == "0000000100000016000000B3")
    #expect(try WALSegment(name: "0000000100000016000000B3", size: .standard) == segment)
    #expect(segment.start(size: .standard) <= lsn && lsn < segment.end(size: .standard))
    let small = try WALSegmentSize(bytes: 1 << 20)
    #expect(
      try WALSegment(name: "0000000100000016000000B3", size: small).start(size: small).description == "16/B300000")
    for name in ["", "0000000100000016000000b3", "000000000000001600000001", "000000010000001600000100", "x"] {
      #expect(throws: FormatError.self, "\(name)") { try WALSegment(name: name, size: .standard) }
    }
    // A file of this name in a store must not end the daemon.
    let last = try WALSegment(name: "FFFFFFFFFFFFFFFF000000FF", size: .standard)
    #expect(last.end(size: .standard) == LSN(.max) && LSN(.max) + 1 == LSN(.max))
    #expect(WALSegment(timeline: TimelineID(1), number: .max).start(size: .standard) == LSN(.max))
    _ = last.next
  }

  @Test("a timeline's history is read, and one that does not rise refused")
  func histories() throws {
    let history = try TimelineHistory(
      timeline: TimelineID(3), text: "1\t0/3000148\tno recovery target\n\n# comment\n2\t0/5000000\tx\n")
    #expect(history.entries.map(\.timeline.value) == [1, 2])
    for text in ["3\t0/1\n", "2\t0/1\n1\t0/2\n", "x\t0/1\n", "1\n", "1\t0-1\n"] {
      #expect(throws: FormatError.self) { try TimelineHistory(timeline: TimelineID(3), text: text) }
    }
  }

  @Test(
    "sizes and durations are read and written", arguments: [("32MiB", 33_554_432), ("1.5GiB", 1_610_612_736), ("7", 7)])
  func quantities(text: String, bytes: Int64) throws {
    #expect(try ByteCount(text).value == bytes)
    #expect(ByteCount(Int64.max) + ByteCount(1) == ByteCount(Int64.max))
    #expect(try DurationText.parse("1h30m") == .seconds(5400))
    #expect(DurationText.format(.seconds(5400)) == "1h30m")
    for wrong in ["", "5", "m5", "5x", "-1m", "99999999999999d"] {
      #expect(throws: FormatError.self) { try DurationText.parse(wrong) }
    }
  }

  @Test("parsers take any text without trapping")
  func anyText() {
    let alphabet = Array("0123456789abcdefABCDEF/-:TZ+. \tµé\u{301}\n\u{0}".unicodeScalars)
    for _ in 0..<20_000 {
      var text = ""
      for _ in 0..<Int.random(in: 0...40) { text.unicodeScalars.append(alphabet.randomElement()!) }
      _ = (try? LSN(text), try? Timestamp(rfc3339: text), Timestamp(compact: text), try? ByteCount(text))
      _ = (try? DurationText.parse(text), try? RandomID(text), try? BackupID(text), try? SystemIdentifier(text))
      _ = (try? WALSegment(name: text, size: .standard), try? ClusterID(text), CivilText(text))
      _ = try? TimelineHistory(timeline: TimelineID(.max), text: text)
    }
  }

  @Test("ids begin with their time and are read again; secrets do not print")
  func identifiers() throws {
    let time = try Timestamp(rfc3339: "2026-11-02T03:00:00Z")
    let id = BackupID(started: time)
    #expect(id.text.hasPrefix("20261102T030000Z-") && id.started == time)
    #expect(try BackupID(id.text) == id)
    for seconds in [.min, -62_135_596_801, 253_402_300_800, .max] as [Int64] {
      #expect(throws: Never.self, "\(seconds)") { try BackupID(BackupID(started: Timestamp(seconds: seconds)).text) }
    }
    #expect(!id.isFarAhead(of: time - .seconds(86400)) && id.isFarAhead(of: time - .seconds(86401)))
    let random = RandomID.random()
    #expect(try RandomID(random.description) == random)
    #expect("\(Secret("open sesame")) \(String(reflecting: Secret("open sesame")))".contains("sesame") == false)
    for name in ["", "A", "-a", "a.b", String(repeating: "a", count: 64), "a/b"] {
      #expect(throws: FormatError.self) { try ClusterID(name) }
    }
  }
}
