import ArgumentParser
import BackupModel
import KeyManagement

#if canImport(Glibc)
  import Glibc
#endif

/// `backupctl`: what an operator types. Each command is a file of its own beside this one.
@main
struct Backupctl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backupctl",
    abstract: "Back up PostgreSQL clusters, see how they are protected, restore them.",
    discussion: """
      Every command takes --json and --config FILE. Exit status: 0 done, 1 failed, 2 wrong usage or configuration, \
      3 for "status" when a condition is raised.
      """,
    version: "backupctl \(ProgramVersion.text)",
    groupedSubcommands: Overview.groups.map { CommandGroup(name: $0.title, subcommands: $0.commands) })

  mutating func run() { Output.write(Overview.text) }

  static func main() {
    CoreDumps.forbid()
    do {
      try UsageReport.checkHelp(Array(CommandLine.arguments.dropFirst()))
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Glibc.exit(ExitStatus.report(error))
    }
    Glibc.exit(ExitStatus.done)
  }
}
