import FoundationEssentials
import TestSupport
import Testing

/// The man pages that are written by hand, against the programs they describe.
@Suite("The manual") struct ManualTests {
  /// What every command takes; described once, below OPTIONS.
  private static let shared: Set = ["json", "config", "credential", "version", "h", "help"]

  @Test("describes every command of backupctl with all its options, and none that does not exist") func backupctl()
    throws
  {
    let page = try page("backupctl.1")
    let described = Self.commands(page)
    let tree = try CommandTree(of: "backupctl").commands
    #expect(Set(described.map(\.name)) == Set(tree.map(\.name)) && described.count == tree.count)
    for command in tree {
      #expect(Self.shared.isSubset(of: command.options))
      let entry = try #require(described.first { $0.name == command.name }, "no entry for \"\(command.name)\"")
      let options = command.options.subtracting(Self.shared)
      #expect(Self.options(entry.lines).subtracting(Self.shared) == options, "options of \"\(command.name)\"")
      for argument in command.arguments {
        #expect(entry.lines[0].contains("Ar \(argument)"), "\(argument) of \"\(command.name)\"")
      }
    }
    #expect(Self.options(Self.section("OPTIONS", page).filter { $0.hasPrefix(".It ") }) == Self.shared)
  }

  @Test("describes every option of backupd, and none that does not exist") func backupd() throws {
    let page = try page("backupd.8")
    let command = try #require(try CommandTree(of: "backupd").commands.first)
    #expect(Self.options(Self.section("OPTIONS", page).filter { $0.hasPrefix(".It ") }) == command.options)
    #expect(Self.options(Self.section("SYNOPSIS", page)) == command.options.subtracting(["h", "help", "version"]))
  }

  private func page(_ name: String) throws -> [String] {
    try String(contentsOfFile: Programs.source + "/docs/man/" + name, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private static func section(_ title: String, _ page: [String]) -> [String] {
    Array(page.drop { $0 != ".Sh " + title }.dropFirst().prefix { !$0.hasPrefix(".Sh ") })
  }

  /// Each begins with a line `.It Nm Cm wal gaps …` and goes on to the next, or to the next heading.
  private static func commands(_ page: [String]) -> [(name: String, lines: [String])] {
    let start = ".It Nm Cm "
    let lines = section("COMMANDS", page)
    return lines.indices.filter { lines[$0].hasPrefix(start) }.map { first in
      let rest = lines[(first + 1)...].prefix { !$0.hasPrefix(start) && !$0.hasPrefix(".Ss ") }
      // A macro has two letters, the first a capital; before it stand the command's words.
      let words = lines[first].dropFirst(start.count).split(separator: " ")
      return (words.prefix { $0.first?.isUppercase == false }.joined(separator: " "), [lines[first]] + rest)
    }
  }

  /// `Fl -dry-run` and `Fl h` in lines of macros.
  private static func options(_ lines: [String]) -> Set<String> {
    Set(
      lines.filter { $0.hasPrefix(".") }.flatMap { $0.matches(of: #/\bFl -?([a-z-]+)/#) }.map { String($0.output.1) })
  }
}
