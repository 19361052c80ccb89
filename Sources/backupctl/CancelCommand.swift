import ArgumentParser
import BackupModel

struct CancelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Tell a live run to stop.",
    example: "backupctl cancel 20261102T020000Z-hjxkcvqp")

  @Argument(
    help: ArgumentHelp("The run, as \"backupctl runs\" shows it.", valueName: "run"),
    completion: NameCompletion.liveRuns, transform: parsing { try RunID($0) })
  var live: RunID
  @OptionGroup var shared: SharedOptions

  func run() throws {
    try shared.client().cancel(live)
    shared.show(.fields(["run": live])) { "told \(live) to stop" }
  }
}
