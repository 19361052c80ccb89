/// `docs/reference/metrics.md`, from the declarations.
public enum MetricsReference {
  public static func markdown() -> String {
    var text = """
      # Metrics

      <!-- Written from the declarations in Sources/MetricsExport: change those, then BACKUPD_UPDATE_REFERENCE=1 scripts/test.sh --filter MetricsReference. -->

      What `backupctl metrics`, the text file and the listener give, in Prometheus' text format. How to collect them, and rules
      for alerts: [metrics](../operations/metrics.md). A value that is not known has no sample; times are seconds since
      1970-01-01. Names and labels are stable: later versions add some, and take none away.

      | metric | type | labels | |
      |---|---|---|---|

      """
    for metric in Metric.all {
      let labels = metric.labels.map { "`\($0)`" }.joined(separator: " ")
      text += "| `\(metric.name)` | \(metric.kind.rawValue) | \(labels) | \(metric.help) |\n"
    }
    return text
  }
}
