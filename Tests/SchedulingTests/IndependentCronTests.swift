import BackupModel
import FoundationEssentials
import TestSupport
import Testing

@testable import Scheduling

/// Held against `croniter`, which somebody else wrote; `implement_cron_bug` is its name for how Vixie's cron combines days.
@Suite("A cron expression, beside an independent implementation") struct IndependentCronTests {
  struct Case {
    var expression: String
    var zone: String
    var from: Int64
    var due: Int64?
  }

  private static func cases(seed: Int, count: Int) throws -> [Case] {
    let python = try #require(
      ProcessInfo.processInfo.environment["BACKUPD_TEST_PYTHON"],
      "BACKUPD_TEST_PYTHON is not set: it names a python with the packages that \"make setup\" installs")
    let script = URL(filePath: #filePath).deletingLastPathComponent().path + "/../Oracles/cron_oracle.py"
    let output = try Program.succeed(python, [script, String(seed), String(count)])
    return try output.split(separator: "\n").map { line in
      let parts = line.split(separator: "\t").map(String.init)
      return Case(expression: parts[0], zone: parts[1], from: try #require(Int64(parts[2])), due: Int64(parts[3]))
    }
  }

  @Test("is due at the same instants, 10,000 times in five zones")
  func same() throws {
    let cases = try Self.cases(seed: 20_261_125, count: 10_000)
    #expect(cases.count == 10_000)
    var zones: [String: TimeZoneRules] = [:]
    for zone in Set(cases.map(\.zone)) { zones[zone] = try TimeZoneRules(named: zone) }
    #expect(zones.count == 5)
    var differences: [String] = []
    for item in cases {
      let zone = try #require(zones[item.zone])
      let ours = try CronExpression(item.expression).next(after: Timestamp(seconds: item.from), in: zone)
      if ours?.seconds == item.due { continue }
      differences.append(
        "\(item.expression) in \(item.zone) from \(item.from): \(ours?.seconds ?? -1), \(item.due ?? -1)")
    }
    #expect(differences == [])
  }
}
