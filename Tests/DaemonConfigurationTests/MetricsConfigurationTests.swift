import BackupModel
import Testing

@testable import DaemonConfiguration

@Suite("Metrics in a configuration") struct MetricsConfigurationTests {
  @Test("are a file, an interval and an address that only this host reaches") func reads() throws {
    func metrics(_ keys: String) throws -> MetricsSettings {
      try Sample.parse(Sample.text() + "metrics: {\(keys)}\n").metrics
    }
    #expect(
      try metrics("textfile: /srv/backupd.prom, every: 1m")
        == MetricsSettings(textFile: "/srv/backupd.prom", interval: .seconds(60), listen: nil))
    #expect(try metrics("").interval == .seconds(30))
    #expect(try metrics("listen: \"127.0.0.1:9187\"").listen == .loopback(port: 9187))
    #expect(try metrics("listen: \"[::1]:9187\"").listen == .loopback6(port: 9187))
    #expect(
      try metrics("listen: \"unix:/run/backupd/metrics.sock\"").listen == .unix(path: "/run/backupd/metrics.sock"))
  }

  @Test(
    "are refused where others could reach them, or nobody would",
    arguments: [
      (
        "listen: \"0.0.0.0:9187\"",
        "metrics.listen: \"0.0.0.0:9187\" is neither on the loopback interface nor a unix socket"
      ),
      ("listen: \":9187\"", "is neither on the loopback interface"), ("listen: \"127.0.0.1.evil:1\"", "is neither"),
      ("listen: \"127.0.0.1:0\"", "\"127.0.0.1:0\" has no port; write 127.0.0.1:9187"),
      ("listen: \"127.0.0.1:70000\"", "has no port"), ("listen: \"unix:metrics.sock\"", "is not a socket"),
      ("textfile: /srv/backupd.txt", "does not end in .prom; node_exporter reads no other files"),
      ("every: 1s", "metrics.every: 1s is not between 5s and 1h"),
    ])
  func refuses(keys: String, expected: String) {
    let problems = Sample.problems(Sample.text() + "metrics: {\(keys)}\n")
    #expect(problems.count == 1 && problems[0].contains(expected), "\(problems)")
  }
}
