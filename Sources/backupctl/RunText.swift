import BackupModel

/// A run for people.
struct RunText {
  let record: RunRecord
  private let time = LocalTime()

  init(_ record: RunRecord) { self.record = record }

  static func outcome(_ outcome: RunOutcome?) -> Table.Cell {
    let emphasis: Emphasis =
      switch outcome {
      case .succeeded: .good
      case .failed: .bad
      case .incomplete, .interrupted, .cancelled, .skipped: .warning
      case nil: .plain
      }
    return Table.Cell(outcome?.rawValue, emphasis)
  }

  var duration: String {
    DurationText.format((record.finished ?? .now()) - record.started)
  }

  /// A line about an ended or live run.
  var line: String {
    let state =
      record.outcome.map { $0.rawValue.styled(Self.outcome($0).emphasis) }
      ?? record.progress.map { ProgressMeter.line($0, rate: 0) } ?? "running"
    let error = record.error.map { ": \($0.summary)" } ?? ""
    return "\(time.text(record.finished ?? .now()))  \(record.job)  \(record.run)  \(state)\(error)"
  }

  /// Everything about an ended run.
  var full: String {
    let outcome = record.outcome?.rawValue ?? "running"
    var lines = ["\(record.job) \(outcome.styled(Self.outcome(record.outcome).emphasis)) after \(duration)"]
    lines.append("  run     \(record.run)")
    if let backup = record.backup { lines.append("  backup  \(backup)") }
    if let sizes { lines.append("  size    " + sizes) }
    if !record.phases.isEmpty { lines.append("  phases  " + PhaseText.line(record.phases)) }
    lines += DrillText.lines(record).map { "  " + $0 }
    for store in record.requests ?? [] {
      let again = store.retries > 0 ? ", \(store.retries) made again" : ""
      lines.append(
        "  store   \(store.store): \(store.requests) requests\(again), \(store.sentBytes) sent, \(store.receivedBytes) received"
      )
    }
    lines += record.warnings.map { "  " + "WARNING".styled(.warning) + ": \($0)" }
    if let error = record.error {
      lines.append("  " + "ERROR".styled(.bad) + ": \(error.summary)")
      if let detail = error.detail { lines.append(ErrorOutput.labelled("DETAIL", detail, indent: 4)) }
      if let hint = error.hint { lines.append(ErrorOutput.labelled("HINT", hint, indent: 4)) }
    }
    return lines.joined(separator: "\n")
  }

  private var sizes: String? {
    let parts = [
      record.totalBytes.map { "\($0) in all" }, record.newBytes.map { "\($0) new" },
      record.storedBytes.map { "\($0) stored" },
    ].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }
}

/// Phases and how long each took.
enum PhaseText {
  static func line(_ phases: [RunPhase]) -> String {
    phases.map {
      "\($0.name) \(DurationText.format(.microseconds(Int64($0.durationSeconds * 1e6))))"
    }.joined(separator: ", ")
  }
}
