import ArgumentParser

/// What `backupctl` alone prints: the commands by what they are for, on one screen.
enum Overview {
  /// Commands of one purpose, the most used first.
  struct Group: Sendable {
    var title: String
    var commands: [any ParsableCommand.Type]
  }

  static let groups = [
    Group(
      title: "What is recoverable",
      commands: [
        StatusCommand.self, BackupsCommand.self, WALCommand.self, ShowCommand.self, VerifyCommand.self,
        DrillCommand.self, MetricsCommand.self,
      ]),
    Group(
      title: "Take and look",
      commands: [
        RunCommand.self, RunsCommand.self, JobsCommand.self, CancelCommand.self, DeleteCommand.self,
        UndeleteCommand.self, PruneCommand.self,
      ]),
    Group(title: "Restore", commands: [RestoreCommand.self, DumpCommand.self, RestoreDumpCommand.self]),
    Group(
      title: "Configure",
      commands: [
        ConfigCommand.self, RepositoryCommand.self, ReloadCommand.self, ScheduleCommand.self, ClusterCommand.self,
        AlertsCommand.self,
      ]),
  ]

  /// How many commands of a group get a line of their own; the others are named.
  private static let described = 3

  static var text: String {
    var lines = ["usage: backupctl COMMAND [--json] [--config FILE] ...", ""]
    for group in groups {
      lines.append(group.title.styled(.strong))
      for command in group.commands.prefix(described) {
        lines.append("  " + name(command).padded(to: 14) + command.configuration.abstract)
      }
      let others = group.commands.dropFirst(described).map(name)
      if !others.isEmpty { lines.append("  also          " + others.joined(separator: ", ")) }
    }
    lines += ["", "\"backupctl COMMAND --help\" shows an example; \"man backupctl\" has everything."]
    return lines.joined(separator: "\n")
  }

  private static func name(_ command: any ParsableCommand.Type) -> String { command.configuration.commandName ?? "" }
}
