import ArgumentParser
import BackupModel
import Recovery

struct WALFetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch", abstract: "Write one WAL file from the repository: PostgreSQL's restore_command.",
    discussion: """
      "backupd-wal fetch" becomes this. Exit status 0: done. 1: proven absent, which ends recovery. 126: anything \
      else, so that PostgreSQL stops instead of promoting too early.
      """,
    example:
      "backupctl wal fetch --cluster main --until 1/16/B374D848 000000010000001600000042 pg_wal/RECOVERYXLOG")

  @Option(help: "The cluster.", completion: NameCompletion.clusters, transform: parsing { try ClusterID($0) })
  var cluster: ClusterID
  @Option(
    help: ArgumentHelp("The planned end of recovery: nothing beyond it is served.", valueName: "timeline/lsn"),
    transform: parsing { try PlannedEnd.parse($0) })
  var until: WALPosition
  @Argument(help: "The file PostgreSQL asks for: %f.")
  var name: String
  @Argument(help: "Where to put it: %p.", completion: .file())
  var destination: String
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let repository = try RepositoryOpening.open(shared.loadConfiguration().repository)
    let outcome = WALFetch(repository: repository, cluster: cluster, until: until).fetch(name, to: destination)
    if let report = outcome.report { ErrorOutput.print(report) }
    if shared.json {
      let word =
        switch outcome {
        case .done: "done"
        case .absent: "absent"
        case .failed: "failed"
        }
      Output.write(JSONValue.fields(["name": name, "destination": destination, "outcome": word]).text)
    }
    if outcome.exitCode != ExitStatus.done { throw ExitCode(outcome.exitCode) }
  }
}
