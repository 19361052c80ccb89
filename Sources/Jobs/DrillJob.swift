internal import BackupModel
internal import BlockingWork
internal import JobState
internal import Logging
public import Recovery
internal import Repository

/// Restores a backup as proof.
public struct DrillJob: JobBody, Hashable {
  public var options: DrillOptions

  public init(_ options: DrillOptions) { self.options = options }

  /// It reads what is there; backups go on beside it.
  public var isExclusive: Bool { false }
  public func accepts(_ other: any JobBody) -> Bool { false }

  /// How often the daemon writes what a drill looks for.
  public static var heartbeatInterval: Duration { HeartbeatKeeper.interval }

  public func attempt(_ context: RunContext) async throws -> RunResult {
    let run = context.run
    let findings = try CheckFindings(context)
    let drill = Drill(
      repository: context.repository, options: options, observe: { run.progress($0) },
      found: { report in
        run.change {
          findings.note(
            report.backup, report.totalBytes, phases: report.phases, checks: report.checks, warnings: report.warnings,
            in: &$0)
          $0.drill = report.record
        }
      })
    // Also one whose checks fail has measured how long a restore takes.
    defer { note(run.record, context) }
    try await context.blocking { try drill.run(cancellation: $0) }
    // What it restored is nobody's to take over.
    return RunResult()
  }
}

extension DrillJob {
  /// Keeps what a drill measured, for what is promised of recovery times.
  fileprivate func note(_ record: RunRecord, _ context: RunContext) {
    guard let recovery = MeasuredRecovery(record) else { return }
    do {
      try context.state.record(recovery, of: options.cluster)
    } catch {
      context.run.change { $0.warnings.append("The measured time is not kept: \(ErrorReport(error))") }
    }
  }
}

extension MeasuredRecovery {
  /// Nil where the drill did not come so far that its server answered.
  init?(_ record: RunRecord) {
    guard let drill = record.drill, drill.measuredRTOSeconds != nil, let bytes = record.totalBytes else { return nil }
    func seconds(_ phase: String) -> Double {
      record.phases.first { $0.name == phase }?.durationSeconds ?? 0
    }
    self.init(
      restoreSeconds: seconds("fetch"), replaySeconds: seconds("replay"), startSeconds: seconds("start"),
      bytes: bytes, walBytes: drill.walBytes ?? ByteCount(0), at: record.started)
  }
}

extension JobRunner {
  /// Where drills keep what they work in, below the state directory.
  public static func drillRegistry(in stateDirectory: String) -> String { stateDirectory + "/drills" }

  /// A daemon that was killed in the middle of a drill left a server and a copy of the data.
  func sweepDrills() async {
    let registry = Self.drillRegistry(in: options.stateDirectory)
    do {
      let jobs = try await Lane(label: "validation.sweep").run { _ in try ScratchDirectory.sweep(registry: registry) }
      for job in jobs { logger.notice("what an interrupted drill left is removed", metadata: ["job": "\(job)"]) }
    } catch {
      logger.error("what an interrupted drill left is not removed", metadata: ["error": "\(ErrorReport(error))"])
    }
  }
}
