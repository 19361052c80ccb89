import ArgumentParser
import BackupModel
import ControlClient

struct DrillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drill", abstract: "Restore a backup as proof, or see what the last drills found.",
    discussion: """
      With a job of kind "drill" it runs that and prints what came of it; interrupting it leaves the drill alone. \
      Without one it shows the last drill of each such job.
      """,
    example: "backupctl drill validation")

  @Argument(help: "The job.", completion: NameCompletion.jobs, transform: parsing { try JobID($0) })
  var job: JobID?
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let client = shared.client()
    let jobs = try client.jobs().filter { $0.kind == "drill" }
    if let job {
      guard jobs.contains(where: { $0.name == job }) else { throw DrillJobMissing(job: job, known: jobs.map(\.name)) }
      let record = try RunWaiting.run(job, shared)
      let document = try document(of: try client.jobs().first { $0.name == job }, client, current: record)
      shared.show(.list(document)) { document.map(\.text).joined(separator: "\n") }
      if record.outcome != .succeeded { throw ExitCode(ExitStatus.failed) }
      return
    }
    let documents = try jobs.flatMap { try document(of: $0, client) }
    shared.show(.list(documents)) {
      documents.isEmpty ? "no job of kind drill is configured" : documents.map(\.text).joined(separator: "\n\n")
    }
  }

  private func document(
    of job: JobSummary?, _ client: ControlClient, current: RunRecord? = nil
  ) throws -> [DrillDocument] {
    guard let job else { return [] }
    let runs = try client.runs(job: job.name, limit: DrillDocument.historyLength)
    return [DrillDocument(job, runs: runs, current: current)]
  }
}

/// What was named is no drill.
struct DrillJobMissing: OperatorError {
  var job: JobID
  var known: [JobID]
  var summary: String { "there is no drill \"\(job)\"" }
  var detail: String? {
    known.isEmpty
      ? "No job of kind drill is configured."
      : "The jobs of kind drill are \(known.map { "\"\($0)\"" }.joined(separator: ", "))."
  }
  var hint: String? { "List all jobs with \"backupctl jobs\"." }
}
