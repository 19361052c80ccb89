import ArgumentParser

extension CommandConfiguration {
  private static let exampleTitle = "Example: "

  /// A command and one line that shows it in use, which its help and its errors quote.
  init(
    commandName: String, abstract: String, discussion: String = "", example: String,
    subcommands: [any ParsableCommand.Type] = []
  ) {
    let parts = [discussion, Self.exampleTitle + example].filter { !$0.isEmpty }
    self.init(
      commandName: commandName, abstract: abstract, discussion: parts.joined(separator: "\n\n"),
      subcommands: subcommands)
  }

  /// The example; nil where the command was declared without one.
  var example: String? {
    discussion.split(separator: "\n").last { $0.hasPrefix(Self.exampleTitle) }
      .map { String($0.dropFirst(Self.exampleTitle.count)) }
  }
}

/// A command that only holds others: alone it is a wrong use, and says what is missing.
protocol CommandFamily: ParsableCommand {}

extension CommandFamily {
  mutating func run() throws {
    let name = Self.configuration.commandName ?? ""
    let commands = Self.configuration.subcommands.compactMap { $0.configuration.commandName }
    throw UsageError(
      "\"backupctl \(name)\" needs a command", detail: "It has \(commands.joined(separator: ", ")).",
      hint: UsageReport.hint("backupctl \(name)", example: Self.configuration.example))
  }
}
