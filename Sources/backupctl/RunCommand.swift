import ArgumentParser
import BackupModel
import BlockingWork
import ControlClient

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a job now and wait for its end.",
    discussion: "Interrupting it leaves the run alone; \"backupctl cancel RUN\" stops that.",
    example: "backupctl run nightly")

  @Argument(help: "The job.", completion: NameCompletion.jobs, transform: parsing { try JobID($0) })
  var job: JobID
  @Flag(name: .customLong("no-wait"), help: "Only start it.")
  var doesNotWait = false
  @OptionGroup var shared: SharedOptions

  func run() throws {
    if doesNotWait {
      let record = try shared.client().startJob(job)
      return shared.show(record.json) { "started \(record.run)" }
    }
    let record = try RunWaiting.run(job, shared)
    shared.show(record.json) { RunText(record).full }
    if record.outcome != .succeeded { throw ExitCode(ExitStatus.failed) }
  }
}

/// Starts a job and watches it to its end.
enum RunWaiting {
  /// - Throws: ``WaitInterrupted``, what the daemon answers.
  static func run(_ job: JobID, _ shared: SharedOptions) throws -> RunRecord {
    let meter = ProgressMeter()
    var current: RunID?
    do {
      defer { meter.finish() }
      return try shared.client(Interruption.cancellation()).runJob(job) { record in
        current = record.run
        if record.outcome == nil, let progress = record.progress { meter.update(progress) }
      }
    } catch is CancellationError {
      throw WaitInterrupted(job: job, run: current)
    }
  }
}

/// The operator stopped watching; the run goes on.
struct WaitInterrupted: OperatorError {
  var job: JobID
  var run: RunID?
  var summary: String { "no longer waiting for job \"\(job)\"" }
  var detail: String? { "The run goes on in the daemon." }
  var hint: String? {
    run.map { "Watch it with \"backupctl runs \(job) --follow\", or stop it with \"backupctl cancel \($0)\"." }
      ?? "See \"backupctl runs \(job)\"."
  }
}
