import BackupModel
import Foundation
import MetricsExport
import Testing

@Suite("Metrics as text") struct MetricsTextTests {
  @Test("have help and type once, values below, and nothing where nothing is known") func text() {
    var text = MetricsText()
    text.add(.storeUp, ["local"], 1)
    text.add(.up, 1)
    text.add(.age, ["oauth"], nil)
    text.add(.storeUp, ["cloud"], 0)
    let expected = """
      # HELP backupd_up 1: the daemon wrote this.
      # TYPE backupd_up gauge
      backupd_up 1
      # HELP backupd_store_up 1 while a store takes and gives what it is asked.
      # TYPE backupd_store_up gauge
      backupd_store_up{store="local"} 1
      backupd_store_up{store="cloud"} 0

      """
    #expect(text.text == expected && text.names == ["backupd_up", "backupd_store_up"])
  }

  @Test("escape what ends a label, and write numbers as Prometheus reads them") func escapes() {
    var text = MetricsText()
    text.add(.diskFree, ["a\"b", "/x\\y\nz"], 1.5)
    text.add(.age, ["a"], .infinity)
    text.add(.diskSize, ["a", "b"], 8_796_093_022_208)
    #expect(text.text.contains("{place=\"a\\\"b\",path=\"/x\\\\y\\nz\"} 1.5\n"))
    #expect(text.text.contains("{cluster=\"a\"} +Inf\n") && text.text.contains(" 8796093022208\n"))
  }

  @Test("hold a series once, the later value") func once() {
    var text = MetricsText()
    text.add(.age, ["a"], 1)
    text.add(.age, ["a"], 2)
    #expect(text.text.components(separatedBy: "backupd_recovery_point_age_seconds{").count == 2)
    #expect(text.text.hasSuffix("{cluster=\"a\"} 2\n"))
  }

  @Test("are named by the rules: once each, units last, _total for counters alone") func names() {
    #expect(Set(Metric.all.map(\.name)).count == Metric.all.count)
    for metric in Metric.all {
      #expect(metric.name.hasPrefix("backupd_") && metric.name.hasSuffix("_total") == (metric.kind == .counter))
      #expect(!metric.labels.contains("job") && !metric.labels.contains("instance"), "Prometheus' own")
      #expect(!metric.help.contains("\n") && metric.help.hasSuffix("."))
    }
  }
}

@Suite("The reference of metrics") struct MetricsReferenceTests {
  private static let path =
    #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/docs/reference/metrics.md"

  /// After a change of the declarations: `BACKUPD_UPDATE_REFERENCE=1 scripts/test.sh --filter MetricsReference`.
  @Test("is what the declarations say") func document() throws {
    let text = MetricsReference.markdown()
    if ProcessInfo.processInfo.environment["BACKUPD_UPDATE_REFERENCE"] != nil {
      try text.write(toFile: Self.path, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOfFile: Self.path, encoding: .utf8) == text)
  }
}
