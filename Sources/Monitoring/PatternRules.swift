internal import BackupModel

/// Whether a backup looks like those before it: data that was lost makes it smaller, data that somebody encrypts changes
/// everywhere at once and cannot be compressed.
public enum PatternRules {
  private static let fewest = 5
  private static let window = 20
  /// Fewer new bytes say nothing of how well they compress.
  private static let smallest: Int64 = 8 << 20

  public static func judge(_ observations: Observations) -> [Judgement] {
    observations.jobs.filter { $0.job.makes != nil }.flatMap { job -> [Judgement] in
      // One that was taken over was measured where it was made.
      let runs = job.runs.filter { $0.outcome == .succeeded && ($0.totalBytes?.value ?? 0) > 0 }
      return [size(job.job, runs, observations.settings), pattern(job.job, runs)]
    }
  }

  // MARK: Size

  static func size(_ job: MonitoredJob, _ runs: [RunRecord], _ settings: MonitorSettings) -> Judgement {
    let id = ConditionKind.backupSize.id("\(job.id)")
    let sizes = runs.prefix(window).compactMap { $0.totalBytes.map { Double($0.value) } }
    guard sizes.count > fewest, let usual = Robust(sizes.dropFirst())?.median, usual > 0 else {
      return Judgement(id, .right)
    }
    let drop = Double(settings.sizeDropPercent) / 100
    let missing = 1 - sizes[0] / usual
    guard missing > drop else { return Judgement(id, missing <= drop / 2 ? .right : .unclear) }
    let report = ErrorReport(
      summary: "the last backup of job \"\(job.id)\" is suspiciously small",
      detail: "It holds \(ByteCount(Int64(sizes[0]))); the median of the \(sizes.count - 1) before it is "
        + "\(ByteCount(Int64(usual))): \(Int(missing * 100)) % are missing.",
      hint: "See that tables or databases were removed on purpose. If not, restore from an earlier one of "
        + "\"backupctl backups\", and have \"keep\" hold those for longer before prune removes them.")
    return Judgement(id, .wrong(.warning, report))
  }

  // MARK: Changes

  /// What part of a backup is new, and what part of that is left by compression.
  private struct Shape {
    var changed: Double
    /// Nil where too little is new to say.
    var stored: Double?

    init?(_ run: RunRecord) {
      guard let total = run.totalBytes?.value, total > 0, let new = run.newBytes?.value, new >= 0 else { return nil }
      changed = Double(new) / Double(total)
      if new >= PatternRules.smallest, let kept = run.storedBytes?.value { stored = Double(kept) / Double(new) }
    }
  }

  static func pattern(_ job: MonitoredJob, _ runs: [RunRecord]) -> Judgement {
    let id = ConditionKind.changePattern.id("\(job.id)")
    let shapes = runs.prefix(window).compactMap { Shape($0) }
    guard shapes.count > fewest, let last = shapes.first else { return Judgement(id, .right) }
    let before = shapes.dropFirst()
    var facts: [String] = []
    var isNear = false
    if let usual = Robust(before.map(\.changed)) {
      let limit = max(usual.limit(10), usual.median * 3, usual.median + 0.2)
      isNear = last.changed > limit / 2 && last.changed > usual.limit(5)
      if last.changed > limit {
        facts.append("\(percent(last.changed)) of its bytes are new; usual is \(percent(usual.median)).")
      }
    }
    // What the first backup stored counts too: it is all of the data.
    let ratios = before.compactMap(\.stored)
    if let stored = last.stored, let usual = Robust(ratios) {
      let limit = max(usual.limit(10), usual.median * 1.5, usual.median + 0.2)
      if stored > limit {
        facts.append("Compression leaves \(percent(stored)) of what is new; usual is \(percent(usual.median)).")
      }
    }
    guard !facts.isEmpty else { return Judgement(id, isNear ? .unclear : .right) }
    let report = ErrorReport(
      summary: "the last backup of job \"\(job.id)\" changed in an unusual way", detail: facts.joined(separator: " "),
      hint:
        "A migration, VACUUM FULL or a rewrite of a large table does that; so does somebody who encrypts your data. "
        + "If it was not you, have \"keep\" hold the backups before it for longer: \"backupctl backups\" lists them.")
    return Judgement(id, .wrong(.warning, report))
  }

  private static func percent(_ part: Double) -> String { "\(Int((part * 100).rounded())) %" }
}

/// Median and spread that single wild values do not move.
struct Robust {
  let median: Double
  /// The median of what the values are away from it, in the units of a standard deviation.
  let spread: Double

  init?(_ values: some Collection<Double>) {
    guard let median = Self.middle(values), let away = Self.middle(values.map { abs($0 - median) }) else { return nil }
    self.median = median
    // 1.4826 makes it a standard deviation where the values are normally distributed.
    spread = away * 1.4826
  }

  func limit(_ factor: Double) -> Double { median + factor * spread }

  private static func middle(_ values: some Collection<Double>) -> Double? {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return nil }
    let half = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  }
}
