import ArgumentParser
import BackupModel
import ControlProtocol

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "How well the clusters are protected, and what is wrong.",
    discussion: """
      Leads with how far back to the present a restore reaches and what is promised. Of several clusters it shows what \
      fits a screen; --full shows everything. Exit status 3 says that a condition is raised.
      """, example: "backupctl status --watch")

  @Flag(help: "Show the spans, stores, WAL and jobs of every cluster.")
  var full = false
  @Flag(help: "Show it anew every two seconds until interrupted.")
  var watch = false
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if watch && shared.json { throw ValidationError("--watch and --json cannot be used together.") }
  }

  func run() throws {
    if watch {
      let cancellation = Interruption.cancellation()
      return try StatusWatch.run(shared.client(cancellation), cancellation, isFull: full)
    }
    let status = try shared.client().status()
    shared.show(status.json) { StatusText(status, isFull: full).text }
    if !status.conditions.isEmpty { throw ExitCode(ExitStatus.conditions) }
  }
}
