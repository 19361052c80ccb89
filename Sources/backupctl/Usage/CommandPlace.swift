import ArgumentParser

/// A command in the tree of commands.
struct CommandPlace {
  let type: any ParsableCommand.Type
  /// Its words after the program's name: `["wal", "gaps"]`.
  private(set) var names: [String] = []
  /// What follows them on a command line.
  private(set) var rest: [String] = []

  /// The command that a command line names as far as its words are commands.
  init(_ arguments: [String]) {
    var place = CommandPlace(type: Backupctl.self, names: [])
    place.rest = arguments
    while let word = place.rest.first, let next = place.children.first(where: { $0.name == word }) {
      let rest = Array(place.rest.dropFirst())
      place = next
      place.rest = rest
    }
    self = place
  }

  private init(type: any ParsableCommand.Type, names: [String]) {
    self.type = type
    self.names = names
  }

  /// Every command, families among them, each after the one it belongs to.
  static var all: [CommandPlace] { CommandPlace(type: Backupctl.self, names: []).descendants }

  private var descendants: [CommandPlace] { children.flatMap { [$0] + $0.descendants } }

  private var children: [CommandPlace] {
    subcommands.map { CommandPlace(type: $0.type, names: names + [$0.name]) }
  }

  var name: String { names.last ?? "backupctl" }
  /// `backupctl wal gaps`.
  var path: String { (["backupctl"] + names).joined(separator: " ") }
  var isRoot: Bool { names.isEmpty }
  var isFamily: Bool { !type.configuration.subcommands.isEmpty }
  var example: String? { type.configuration.example }
  var usage: String { Backupctl.usageString(for: type) }

  var subcommands: [(name: String, type: any ParsableCommand.Type)] {
    type.configuration.subcommands.filter { $0.configuration.shouldDisplay }.map {
      ($0.configuration.commandName ?? "", $0)
    }
  }

  /// The names of its options, as its help lists them.
  var options: [String] {
    Backupctl.helpMessage(for: type, columns: 1000).split(separator: "\n").filter { $0.hasPrefix("  -") }
      .flatMap { $0.split(whereSeparator: { " ,/".contains($0) }).filter { $0.hasPrefix("--") && $0.count > 2 } }
      .map(String.init)
  }
}
