import ArgumentParser
import BackupModel
import ControlProtocol

struct JobsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jobs", abstract: "The configured jobs: when they run next, how they ran last.",
    example: "backupctl jobs --json")

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let jobs = try shared.client().jobs()
    shared.show(.list(jobs)) {
      jobs.isEmpty ? "no jobs are configured" : Self.table(jobs, LocalTime()).text()
    }
  }

  static func table(_ jobs: [JobSummary], _ time: LocalTime) -> Table {
    var table = Table([
      .text("JOB"), .text("KIND", drop: 3), .text("CLUSTER", drop: 2), .exact("SCHEDULE", drop: 4), .exact("NEXT RUN"),
      .exact("LAST RUN", drop: 1), .exact("OUTCOME"), .number("FAILURES", drop: 5),
    ])
    table.rows = jobs.map { job in
      [
        Table.Cell(job.name.rawValue), Table.Cell(job.kind), Table.Cell(job.cluster?.rawValue),
        Table.Cell(job.schedule), Table.Cell(time.listed(job.nextRun)), Table.Cell(time.listed(job.lastRun)),
        outcome(job), Table.Cell("\(job.consecutiveFailures)", job.consecutiveFailures > 0 ? .bad : .plain),
      ]
    }
    return table
  }

  private static func outcome(_ job: JobSummary) -> Table.Cell {
    job.running != nil ? Table.Cell("running", .strong) : RunText.outcome(job.lastOutcome)
  }
}
