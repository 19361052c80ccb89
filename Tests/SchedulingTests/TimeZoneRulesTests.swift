import BackupModel
import TestSupport
import Testing

@testable import Scheduling

#if canImport(Glibc)
  import Glibc
#endif

@Suite("A time zone") struct TimeZoneRulesTests {
  @Test(
    "has the offset that holds at an instant",
    arguments: [
      ("Europe/Berlin", "2026-03-29T00:59:59Z", 3600), ("Europe/Berlin", "2026-03-29T01:00:00Z", 7200),
      ("Europe/Berlin", "2026-10-25T00:59:59Z", 7200), ("Europe/Berlin", "2026-10-25T01:00:00Z", 3600),
      // Beyond the table, by the footer's rule.
      ("Europe/Berlin", "2090-07-01T00:00:00Z", 7200), ("Europe/Berlin", "2090-12-01T00:00:00Z", 3600),
      ("America/New_York", "2090-07-01T00:00:00Z", -14400), ("America/New_York", "1950-01-01T00:00:00Z", -18000),
      ("Australia/Lord_Howe", "2090-01-01T00:00:00Z", 39600), ("Australia/Lord_Howe", "2090-07-01T00:00:00Z", 37800),
      ("Europe/Dublin", "2090-07-01T00:00:00Z", 3600), ("Europe/Dublin", "2090-12-01T00:00:00Z", 0),
      ("Asia/Kathmandu", "2026-01-01T00:00:00Z", 20700), ("UTC", "2026-01-01T00:00:00Z", 0),
      ("Asia/Tokyo", "2026-01-01T00:00:00Z", 32400), ("Pacific/Apia", "2011-12-31T00:00:00Z", 50400),
    ])
  func offsets(name: String, time: String, offset: Int) throws {
    #expect(try TimeZoneRules(named: name).utcOffset(at: Timestamp(rfc3339: time)) == offset)
  }

  @Test(
    "gives the instants of a local time: one, none or two",
    arguments: [
      ("Europe/Berlin", "2026-11-02 03:00", ["2026-11-02T02:00:00Z"]),
      ("Europe/Berlin", "2026-03-29 02:30:00", []),
      ("Europe/Berlin", "2026-03-29 02:00", []), ("Europe/Berlin", "2026-03-29 03:00", ["2026-03-29T01:00:00Z"]),
      ("Europe/Berlin", "2026-10-25 02:30:00.25", ["2026-10-25T00:30:00.250000Z", "2026-10-25T01:30:00.250000Z"]),
      ("Europe/Berlin", "2026-10-25 03:00", ["2026-10-25T02:00:00Z"]),
      ("Europe/Berlin", "2090-10-29 02:30", ["2090-10-29T00:30:00Z", "2090-10-29T01:30:00Z"]),
      ("America/New_York", "2026-11-01 01:30", ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"]),
      ("Australia/Lord_Howe", "2026-04-05 01:45", ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"]),
      ("Australia/Lord_Howe", "2026-10-04 02:15", []),
      ("Pacific/Apia", "2011-12-30 12:00", []),
      ("Europe/Berlin", "2026-03-29 02:30:00+01", ["2026-03-29T01:30:00Z"]),
      ("UTC", "2026-03-29 02:30", ["2026-03-29T02:30:00Z"]),
    ])
  func instants(name: String, local: String, expected: [String]) throws {
    let text = try #require(CivilText(local))
    #expect(try TimeZoneRules(named: name).instants(ofLocal: text).map(\.description) == expected)
  }

  /// The C library, by way of `date`, reads the same files: it says what is right.
  @Test(
    "agrees with the C library for a century",
    arguments: ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk"])
  func agreesWithLibrary(name: String) throws {
    let rules = try TimeZoneRules(named: name)
    let times = Array(stride(from: Int64(-600_000_000), to: 4_000_000_000, by: 86_400 * 3 + 3599))
    let lines = try TemporaryDirectory.run { directory in
      let input = directory + "/times"
      let file = try #require(fopen(input, "w"))
      fputs(times.map { "@\($0)\n" }.joined(), file)
      fclose(file)
      return try output(of: "TZ=\(name) date -f \(input) +%::z")
    }
    try #require(lines.count == times.count)
    for (seconds, line) in zip(times, lines) {
      let offset = rules.utcOffset(at: Timestamp(seconds: seconds))
      let magnitude = abs(offset)
      let parts = [magnitude / 3600, magnitude / 60 % 60, magnitude % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
      let text = (offset < 0 ? "-" : "+") + parts.joined(separator: ":")
      if text != line { Issue.record("\(name) at \(seconds): \(text) instead of \(line)") }
    }
  }

  private func output(of command: String) throws -> [String] {
    let pipe = try #require(popen(command, "r"))
    defer { pclose(pipe) }
    var text = ""
    var buffer = [CChar](repeating: 0, count: 4096)
    while fgets(&buffer, 4096, pipe) != nil {
      text += String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    return text.split(separator: "\n").map(String.init)
  }

  @Test(
    "is refused where there is none of its name",
    arguments: ["Europe/Nowhere", "", "../etc/passwd", "/etc/localtime", "Europe", "a b", "Europe/Berlin\0"])
  func unknown(name: String) {
    #expect(throws: SchedulingError.zoneUnknown(name: name)) { try TimeZoneRules(named: name) }
  }

  @Test("comes from TZ: a name, a path or a rule; otherwise from the host's file; otherwise it is UTC")
  func local() throws {
    let berlin = try TimeZoneRules(named: "Europe/Berlin")
    #expect(try TimeZoneRules.local(tz: "Europe/Berlin", localtime: "/") == berlin)
    #expect(try TimeZoneRules.local(tz: ":Europe/Berlin", localtime: "/") == berlin)
    #expect(try TimeZoneRules.local(tz: "/usr/share/zoneinfo/Europe/Berlin", localtime: "/") == berlin)
    #expect(try TimeZoneRules.local(tz: "", localtime: "/") == .utc)
    #expect(try TimeZoneRules.local(tz: nil, localtime: "/usr/share/zoneinfo/Europe/Berlin") == berlin)
    #expect(try TimeZoneRules.local(tz: nil, localtime: "/nonexistent/localtime") == .utc)
    let rule = try TimeZoneRules.local(tz: "CET-1CEST,M3.5.0,M10.5.0/3", localtime: "/")
    #expect(rule.utcOffset(at: try Timestamp(rfc3339: "2026-07-01T00:00:00Z")) == 7200)
    #expect(throws: SchedulingError.self) { try TimeZoneRules.local(tz: "Europe/Nowhere", localtime: "/") }
    #expect(throws: SchedulingError.self) { try TimeZoneRules.local(tz: nil, localtime: "/etc/passwd") }
  }

  @Test("knows rules that are all daylight, negative, or days counted from one or zero")
  func rules() throws {
    let always = try TimeZoneRules(posix: "XXX3EDT4,0/0,J365/23")
    for time in ["2026-01-01T02:00:00Z", "2026-01-01T05:00:00Z", "2026-12-31T23:59:59Z"] {
      #expect(always.utcOffset(at: try Timestamp(rfc3339: time)) == -14400)
    }
    let nuuk = try TimeZoneRules(posix: "<-02>2<-01>,M3.5.0/-1,M10.5.0/0")
    #expect(nuuk.utcOffset(at: try Timestamp(rfc3339: "2026-03-29T01:00:00Z")) == -3600)
    #expect(nuuk.utcOffset(at: try Timestamp(rfc3339: "2026-03-29T00:59:59Z")) == -7200)
    for text in [
      "", "X", "CET", "CET-1CEST,M3", "CET-1CEST,M13.1.0,M10.5.0", "CET-25", "<CET-1", "CET-1CEST,J0,J1", "CET-1 ",
    ] {
      #expect(throws: SchedulingError.self) { try TimeZoneRules(posix: text) }
    }
  }

  @Test("never traps on a damaged file")
  func survivesDamage() throws {
    let good = try bytes(of: "/usr/share/zoneinfo/Europe/Berlin")
    let local = try #require(CivilText("2026-10-25 02:30"))
    func use(_ bytes: [UInt8]) {
      guard let rules = try? TimeZoneRules(name: "damaged", tzif: bytes) else { return }
      _ = rules.utcOffset(at: Timestamp(seconds: 1_800_000_000))
      _ = rules.utcOffset(at: Timestamp(microseconds: .max))
      _ = rules.utcOffset(at: Timestamp(seconds: -9_000_000_000_000))
      _ = rules.instants(ofLocal: local)
      _ = try? CronExpression("30 2 29 2 *").next(after: Timestamp(seconds: 1_800_000_000), in: rules)
    }
    for length in 0..<good.count { use(Array(good[..<length])) }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<4000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      use(bytes)
    }
  }

  private func bytes(of path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "r"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }
}
