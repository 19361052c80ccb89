import BackupModel
import Testing

@testable import backupctl

@Suite("Wrong use") struct UsageTests {
  /// What a command line is told; nil where it is accepted.
  private func answer(to line: String) -> ErrorReport? {
    let arguments = words(line)
    do {
      try UsageReport.checkHelp(arguments)
      var command = try Backupctl.parseAsRoot(arguments)
      // Only families answer without doing anything: they are wrong by themselves.
      if command is any CommandFamily { try command.run() }
      return nil
    } catch let error as UsageError {
      return ErrorReport(error)
    } catch {
      return UsageReport.make(error, arguments)
    }
  }

  @Test(
    "of a name is told the nearest one",
    arguments: [
      ("statu", "there is no command \"backupctl statu\"", "Did you mean \"backupctl status\"?"),
      ("wal gasp", "there is no command \"backupctl wal gasp\"", "Did you mean \"backupctl wal gaps\"?"),
      ("gaps", "there is no command \"backupctl gaps\"", "Did you mean \"backupctl wal gaps\"?"),
      ("help statu", "there is no command \"backupctl statu\"", "Did you mean \"backupctl status\"?"),
      ("help wal gasp", "there is no command \"backupctl wal gasp\"", "Did you mean \"backupctl wal gaps\"?"),
      ("frobnicate", "there is no command \"backupctl frobnicate\"", "More: backupctl --help"),
      ("runs --limi 3", "there is no option \"--limi\" of \"backupctl runs\"", "Did you mean \"--limit\"?"),
      (
        "backups --clustr=main", "there is no option \"--clustr\" of \"backupctl backups\"",
        "Did you mean \"--cluster\"?"
      ),
      (
        "jobs --frobnicate", "there is no option \"--frobnicate\" of \"backupctl jobs\"",
        "For example: backupctl jobs --json\nMore: backupctl jobs --help"
      ),
      (
        "--json status", "there is no option \"--json\" before the command",
        "For example: backupctl status --json\nMore: backupctl --help"
      ),
    ])
  func names(line: String, summary: String, hint: String) {
    #expect(answer(to: line)?.summary == summary)
    #expect(answer(to: line)?.hint == hint)
  }

  @Test(
    "of arguments is told which, what they are, and an example",
    arguments: [
      ("run", "\"backupctl run\" needs <job>", "<job>: The job."),
      ("restore x", "\"backupctl restore\" needs --cluster <cluster>", "--cluster <cluster>: The cluster to restore."),
      (
        "runs --limit", "a value is missing after \"--limit <limit>\"",
        "--limit <limit>: At most this many, the newest."
      ),
      (
        "runs --limit x", "\"x\" is not valid for --limit <limit>", "--limit <limit>: At most this many, the newest."
      ),
      ("backups --kind x", "\"x\" is not valid for --kind <kind>", "Valid are \"physical\" and \"logical\"."),
      ("show x", "\"x\" is not valid for <backup>", "Expected a backup id such as 20261102T030000Z-kqzvtmhd."),
      (
        "jobs x y", "\"backupctl jobs\" does not take \"x\", \"y\"",
        "It is written: backupctl jobs [--json] [--config <file>] [--credential <name=file> ...]"
      ),
      ("restore x --cluster m --port 3", "--port needs --start", nil),
      ("wal", "\"backupctl wal\" needs a command", "It has list, gaps, status, fetch."),
      ("config", "\"backupctl config\" needs a command", "It has check, explain."),
    ])
  func arguments(line: String, summary: String, detail: String?) throws {
    let report = try #require(answer(to: line))
    #expect(report.summary == summary && report.detail == detail)
    let path = CommandPlace(words(line)).path
    #expect(report.hint?.hasPrefix("For example: \(path) ") == true)
    #expect(report.hint?.hasSuffix("\nMore: \(path) --help") == true)
  }

  @Test("is not to ask for help", arguments: ["help", "help wal gaps", "help wal", "help help", "help --help"])
  func help(line: String) { #expect(throws: Never.self) { try UsageReport.checkHelp(words(line)) } }

  @Test("is what no command has in its own example", arguments: CommandPlace.all.map(\.path))
  func examples(path: String) throws {
    let place = CommandPlace(Array(words(path).dropFirst()))
    let example = try #require(place.example)
    #expect("\(example) ".hasPrefix(path + " "))
    let command = try Backupctl.parseAsRoot(Array(words(example).dropFirst()))
    #expect(place.isFamily || type(of: command) == place.type)
    #expect(Backupctl.helpMessage(for: place.type, columns: 1000).contains("Example: \(example)\n"))
  }

  @Test("begins with nothing: the overview has every command and fits a screen")
  func overview() {
    let lines = Overview.text.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count < 24 && lines.allSatisfy { $0.count <= 80 })
    let named = Set(
      lines.filter { $0.hasPrefix("  ") }.flatMap { line in
        let words = line.split { " ,".contains($0) }.map(String.init)
        return words.first == "also" ? Array(words.dropFirst()) : Array(words.prefix(1))
      })
    #expect(named == Set(CommandPlace.all.filter { $0.names.count == 1 }.map(\.name)))
  }

  /// As a shell splits a line with double quotes.
  private func words(_ line: String) -> [String] {
    line.split(separator: "\"", omittingEmptySubsequences: false).enumerated().flatMap { number, part in
      number % 2 == 1 ? [String(part)] : part.split(separator: " ").map(String.init)
    }
  }
}
