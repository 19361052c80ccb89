import TestSupport

/// A program's commands and their options, as the program itself knows them.
struct CommandTree {
  struct Command {
    /// `wal gaps`; empty for a program without commands.
    var name: String
    /// Without the dashes: `dry-run`, `h`.
    var options: Set<String>
    /// Names of what is given without an option.
    var arguments: [String]
  }

  /// Those that do something: not `wal`, but `wal gaps`.
  let commands: [Command]

  init(of program: String) throws {
    let text = try Program.succeed(Programs.directory() + "/" + program, ["--experimental-dump-help"])
    commands = Self.commands(of: try JSON(parsing: text)["command"], below: [])
  }

  private static func commands(of command: JSON, below path: [String]) -> [Command] {
    let subcommands = (command["subcommands"].array ?? []).filter { $0["commandName"].text != "help" }
    if !subcommands.isEmpty {
      return subcommands.flatMap { commands(of: $0, below: path + [$0["commandName"].text ?? ""]) }
    }
    let arguments = (command["arguments"].array ?? []).filter { $0["shouldDisplay"].bool == true }
    return [
      Command(
        name: path.joined(separator: " "),
        options: Set(arguments.flatMap { $0["names"].array ?? [] }.compactMap { $0["name"].text }),
        arguments: arguments.filter { $0["kind"].text == "positional" }.compactMap { $0["valueName"].text })
    ]
  }
}
