internal import BackupModel
internal import JobState

/// What a run that looks at restored data has found so far, beside what the last one found.
struct CheckFindings {
  private let earlier: [CheckResult]
  /// Of earlier attempts.
  private let warnings: [String]

  /// - Throws: What reading the history does.
  init(_ context: RunContext) throws {
    let runs = try context.state.runs(of: context.run.job.id, limit: 20).runs
    earlier = runs.first { $0.checks?.isEmpty == false }?.checks ?? []
    warnings = context.run.record.warnings
  }

  /// Takes the place of what was noted before by the same attempt.
  func note(
    _ backup: BackupID?, _ totalBytes: ByteCount?, phases: [RunPhase], checks: [CheckResult], warnings: [String],
    in record: inout RunRecord
  ) {
    let compared = checks.map { $0.compared(with: earlier) }
    record.backup = backup
    record.totalBytes = totalBytes
    record.phases = phases
    record.checks = compared
    record.warnings = self.warnings + warnings + CheckResult.warnings(compared)
  }
}
