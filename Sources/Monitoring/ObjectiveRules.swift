public import BackupModel

/// Which of a tier's two objectives.
public enum ObjectiveMeasure: String, Sendable, Hashable, CaseIterable {
  case rpo, rto

  var text: String { self == .rpo ? "recovery point objective" : "recovery time objective" }
}

/// Whether a recovery objective is met, for whoever measures what is attained.
public enum ObjectiveRule {
  /// - Parameters:
  ///   - subject: The tier, with its cluster where names are not unique.
  ///   - attained: What would be lost, or how long it would take, now; nil where nothing could be recovered at all.
  ///   - forecast: In what time the objective breaks if things go on as they do; nil where they do not get worse.
  ///   - warningTime: A breach that is nearer is told.
  ///   - facts: What the figures come from, a sentence.
  public static func evaluate(
    _ measure: ObjectiveMeasure, of subject: String, attained: Duration?, objective: Duration,
    forecast: Duration? = nil, warningTime: Duration = .seconds(600), facts: String? = nil
  ) -> Judgement {
    let id = ConditionKind.objective.id("\(subject):\(measure.rawValue)")
    func wrong(_ severity: Condition.Severity, _ what: String, _ detail: String) -> Judgement {
      let report = ErrorReport(
        summary: "the \(measure.text) of \"\(subject)\" \(what)",
        detail: [detail, facts].compactMap { $0 }.joined(separator: " "),
        hint: "\"backupctl status\" shows what holds it up, and what else is wrong.")
      return Judgement(id, .wrong(severity, report))
    }
    let limit = "the objective is \(DurationText.format(objective))."
    guard let attained else { return wrong(.critical, "is missed", "Nothing of it could be recovered now; \(limit)") }
    if attained > objective {
      return wrong(.critical, "is missed", "\(DurationText.format(attained.whole)) now; \(limit)")
    }
    if let forecast, forecast <= warningTime {
      let time = DurationText.format(max(forecast, .zero).whole)
      return wrong(.warning, "breaks in \(time)", "\(DurationText.format(attained.whole)) now and rising; \(limit)")
    }
    // What comes near it and goes away again is told once.
    let isNear = attained > objective * 0.9 || forecast.map { $0 <= warningTime * 2 } ?? false
    return Judgement(id, isNear ? .unclear : .right)
  }
}

/// Whether restores are rehearsed, and go well and fast enough, for whoever runs the drills.
public enum DrillRule {
  /// How the last drill of a job ended.
  public struct Last: Sendable, Hashable {
    public var finished: Timestamp
    /// Why it proved nothing; nil where it did.
    public var failure: ErrorReport?
    /// From its begin to the checks' end.
    public var duration: Duration

    public init(finished: Timestamp, failure: ErrorReport? = nil, duration: Duration) {
      self.finished = finished
      self.failure = failure
      self.duration = duration
    }
  }

  /// - Parameters:
  ///   - overdueAt: By when the next success must be there, ``JobRules/successDue(_:_:_:)``; nil without a schedule.
  ///   - objective: The recovery time that the drill is held against; nil where there is none.
  public static func evaluate(
    _ job: JobID, last: Last?, overdueAt: Timestamp?, objective: Duration?, now: Timestamp
  ) -> Judgement {
    let id = ConditionKind.drill.id("\(job)")
    let hint = "See \"backupctl runs \(job)\", and run it again: \"backupctl run \(job)\"."
    func wrong(_ severity: Condition.Severity, _ what: String, _ detail: String?) -> Judgement {
      Judgement(id, .wrong(severity, ErrorReport(summary: "drill \"\(job)\" \(what)", detail: detail, hint: hint)))
    }
    if let failure = last?.failure {
      return wrong(
        .critical, "failed", [failure.summary + ".", failure.detail].compactMap { $0 }.joined(separator: " "))
    }
    if let overdueAt, overdueAt < now {
      let before = last.map { "The last was at \($0.finished.wholeSeconds)." } ?? "There was none yet."
      return wrong(.warning, "is overdue", "One should have succeeded by \(overdueAt.wholeSeconds). \(before)")
    }
    if let objective, let last, last.duration > objective {
      return wrong(
        .warning, "is slower than the objective",
        "It took \(DurationText.format(last.duration.whole)); the recovery time objective is \(DurationText.format(objective))."
      )
    }
    return Judgement(id, .right)
  }
}
