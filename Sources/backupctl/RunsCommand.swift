import ArgumentParser
import BackupModel
import BlockingWork
import ControlClient
import ControlProtocol

struct RunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs", abstract: "The newest runs, oldest first.", example: "backupctl runs nightly --limit 10")

  @Argument(help: "Only the runs of this job.", completion: NameCompletion.jobs, transform: parsing { try JobID($0) })
  var job: JobID?
  @Flag(help: "Go on with a line for each change until interrupted.")
  var follow = false
  @Option(help: "At most this many, the newest.")
  var limit = ListRunsParameters.standardLimit
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if follow && shared.json { throw ValidationError("--follow and --json cannot be used together.") }
    guard (1...ListRunsParameters.maximumLimit).contains(limit) else {
      throw ValidationError("--limit must be from 1 to \(ListRunsParameters.maximumLimit).")
    }
  }

  func run() throws {
    if follow {
      do {
        try shared.client(Interruption.cancellation()).followRuns(job: job, limit: limit) { runs in
          Output.write(runs.map { RunText($0).line }.joined(separator: "\n"))
        }
      } catch is CancellationError {
        return
      }
      return
    }
    let runs = try shared.client().runs(job: job, limit: limit)
    shared.show(.list(runs)) { runs.isEmpty ? "there are no runs yet" : Self.table(runs).text() }
  }

  private static func table(_ runs: [RunRecord]) -> Table {
    let time = LocalTime()
    var table = Table([
      .exact("RUN"), .text("JOB"), .text("KIND", drop: 4), .text("TRIGGER", drop: 5), .exact("STARTED", drop: 1),
      .number("TOOK"), .number("STORED", drop: 3), .exact("OUTCOME"), .text("ERROR", drop: 6),
    ])
    table.rows = runs.map { run in
      let outcome = run.outcome == nil ? Table.Cell("running", .strong) : RunText.outcome(run.outcome)
      return [
        Table.Cell(run.run.text), Table.Cell(run.job.rawValue), Table.Cell(run.kind), Table.Cell(run.trigger.rawValue),
        Table.Cell(time.listed(run.started)), Table.Cell(RunText(run).duration),
        Table.Cell(run.storedBytes?.description), outcome, Table.Cell(run.error?.summary),
      ]
    }
    return table
  }
}
