import BackupModel
import DaemonConfiguration
import Testing

@Suite("Limits of the monitor") struct MonitoringSettingsTests {
  private static func parse(_ monitoring: String) throws -> Configuration {
    try Configuration.parse(
      """
      clusters: {main: {connection: "host=/tmp"}}
      repository: {encryption: none, stores: {local: {path: /srv/repository}}}
      \(monitoring)
      """, path: "f")
  }

  @Test("have defaults, and ages that follow from the schedules") func defaults() throws {
    let settings = try Self.parse("").monitoring
    #expect(settings == (try Self.parse("monitoring: {}").monitoring))
    #expect(settings.interval == .seconds(30) && settings.grace == .seconds(300) && settings.sizeDropPercent == 30)
    #expect(settings.lagLimit == .seconds(900) && settings.clockSkew == .seconds(60))
    #expect(settings.diskForecast == .seconds(6 * 3600))
    #expect([settings.physicalAge, settings.logicalAge, settings.tablesAge] == [nil, nil, nil])
  }

  @Test("are taken from the file, and differ in readable lines") func values() throws {
    let old = try Self.parse("")
    let new = try Self.parse("monitoring: {interval: 10s, tables-age: 1h, size-drop: 50}")
    #expect(new.monitoring.tablesAge == .seconds(3600) && new.monitoring.sizeDropPercent == 50)
    #expect(
      new.difference(from: old) == [
        "monitoring: interval changed from \"30s\" to \"10s\"", "monitoring: tables-age set to \"1h\"",
        "monitoring: size-drop changed from \"30\" to \"50\"",
      ])
  }

  @Test(
    "are refused where they make no sense",
    arguments: [
      "{interval: 100ms}", "{interval: 30}", "{size-drop: 0}", "{size-drop: 30%}", "{clock-skew: 1h}", "{inteval: 30s}",
      "{disk-forecast: 0s}", "[]",
    ])
  func refused(text: String) { #expect(throws: ConfigurationError.self) { try Self.parse("monitoring: \(text)") } }
}
