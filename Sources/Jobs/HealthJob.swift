internal import BackupModel
internal import BlockingWork
public import HealthCheck
internal import JobState
internal import Logging
internal import Repository

/// Looks at a cluster's server, and at what its newest dump brings back.
public struct HealthJob: JobBody, Hashable {
  public var options: HealthOptions

  public init(_ options: HealthOptions) { self.options = options }

  public var isExclusive: Bool { false }
  public func accepts(_ other: any JobBody) -> Bool { false }

  public func attempt(_ context: RunContext) async throws -> RunResult {
    let run = context.run
    let findings = try CheckFindings(context)
    let check = HealthCheck(
      repository: context.repository, options: options, observe: { run.progress($0) },
      found: { report in
        run.change {
          findings.note(
            report.backup, report.totalBytes, phases: report.phases, checks: report.checks, warnings: report.warnings,
            in: &$0)
        }
      })
    try await context.blocking { try check.run(cancellation: $0) }
    // What it restored is nobody's to take over.
    return RunResult()
  }
}

extension JobRunner {
  /// Where the names of scratch databases are noted, below the state directory.
  public static func scratchRegistry(in stateDirectory: String) -> String { stateDirectory + "/checks" }

  /// A daemon that was killed in the middle of a check left a database on a server. One that cannot be dropped now is
  /// dropped by the job's next run.
  func sweepChecks(_ jobs: [Job]) async {
    for job in jobs {
      guard let body = job.body as? HealthJob else { continue }
      do {
        let names = try await Lane(label: "monitoring.sweep").run {
          try HealthCheck.sweep(body.options, cancellation: $0)
        }
        for name in names {
          logger.notice(
            "what an interrupted check left is dropped", metadata: ["job": "\(job.id)", "database": "\(name)"])
        }
      } catch {
        logger.error(
          "what an interrupted check left is not dropped",
          metadata: ["job": "\(job.id)", "error": "\(ErrorReport(error))"])
      }
    }
  }
}
