import BackupModel

/// What a drill found, for people.
enum DrillText {
  /// Without indentation; none for runs of other kinds.
  static func lines(_ record: RunRecord) -> [String] {
    guard let drill = record.drill else { return [] }
    var lines = ["target  \(drill.target)" + (drill.targetLSN.map { " at LSN \($0)" } ?? "")]
    if let store = drill.store { lines.append("store   \(store) alone") }
    if let seconds = drill.measuredRTOSeconds { lines.append("RTO     \(duration(seconds)), measured") }
    return lines + (record.checks ?? []).flatMap(check)
  }

  static func duration(_ seconds: Double) -> String { DurationText.format(.microseconds(Int64(seconds * 1e6))) }

  private static func check(_ check: CheckResult) -> [String] {
    let verdict: (String, Emphasis) =
      switch check.verdict {
      case .ok: ("ok", .good)
      case .warning: ("warning", .warning)
      case .critical: ("critical", .bad)
      }
    let value = check.value.map { " = \($0)" } ?? ""
    let line = "check   \(verdict.0.styled(verdict.1)) \(check.name)\(value)" + (check.message.map { ": \($0)" } ?? "")
    return [line] + check.notices.map { "        \($0)" }
  }
}
