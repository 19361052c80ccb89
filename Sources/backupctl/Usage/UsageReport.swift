import ArgumentParser
import BackupModel
import DaemonConfiguration

/// What the argument parser refused, in the three parts of every message of ours: what is wrong, what is expected, what
/// to type instead.
///
/// The parser's errors are its own; its words for them are all it shows. Tests hold those words.
struct UsageReport {
  private let place: CommandPlace
  private let message: String
  /// `<job>: The job.`
  private let expected: String?

  /// - Parameter arguments: The command line after the program's name.
  static func make(_ error: any Error, _ arguments: [String]) -> ErrorReport {
    let full = Backupctl.fullMessage(for: error, columns: 1000)
    let help = full.split(separator: "\n").first { $0.hasPrefix("Help:  ") }?.dropFirst(7)
    return UsageReport(
      place: CommandPlace(arguments), message: Backupctl.message(for: error), expected: help.map(String.init)
    ).report
  }

  /// `help` of a command that does not exist: the parser describes the one above it and calls that success.
  static func checkHelp(_ arguments: [String]) throws {
    guard arguments.first == "help" else { return }
    let place = CommandPlace(Array(arguments.dropFirst()))
    guard place.isFamily, let word = place.rest.first, !word.hasPrefix("-"), word != "help" else { return }
    let report = UsageReport(place: place, message: "", expected: nil).unknownCommand
    throw UsageError(report.summary, detail: report.detail, hint: report.hint)
  }

  private var report: ErrorReport {
    place.isFamily ? unknownCommand : unknownOption ?? missing ?? unexpected ?? invalid ?? other
  }

  // MARK: - Commands

  private var unknownCommand: ErrorReport {
    guard let word = place.rest.first else { return other }
    if word.hasPrefix("-") {
      let command = place.rest.first { word in place.subcommands.contains { $0.name == word } }
      return ErrorReport(
        summary: "there is no option \"\(word)\" before the command", detail: "Options follow the command.",
        hint: Self.hint("\(place.path)", example: command.map { "\(place.path) \($0) \(word)" } ?? place.example))
    }
    return ErrorReport(
      summary: "there is no command \"\(([place.path] + [word]).joined(separator: " "))\"",
      detail: place.isRoot ? nil : "It has \(place.subcommands.map(\.name).joined(separator: ", ")).",
      hint: suggestedCommand(word).map { "Did you mean \"\($0)\"?" } ?? Self.hint(place.path, example: nil))
  }

  /// The command of nearly that name, or of exactly that name elsewhere: `gaps` is `wal gaps`.
  private func suggestedCommand(_ word: String) -> String? {
    if let near = Suggestion.nearest(to: word, in: place.subcommands.map(\.name)) { return "\(place.path) \(near)" }
    return CommandPlace.all.first { $0.names.last == word }?.path
  }

  // MARK: - Options and arguments

  private var unknownOption: ErrorReport? {
    guard message.hasPrefix("Unknown option "), let option = quoted.first else { return nil }
    return ErrorReport(
      summary: "there is no option \"\(option)\" of \"\(place.path)\"",
      hint: Suggestion.nearest(to: option, in: place.options).map { "Did you mean \"\($0)\"?" } ?? hint)
  }

  private var missing: ErrorReport? {
    guard let what = quoted.first else { return nil }
    if message.hasPrefix("Missing expected argument ") {
      return ErrorReport(summary: "\"\(place.path)\" needs \(what)", detail: expectation, hint: hint)
    }
    if message.hasPrefix("Missing value for ") {
      return ErrorReport(summary: "a value is missing after \"\(what)\"", detail: expectation, hint: hint)
    }
    return nil
  }

  private var unexpected: ErrorReport? {
    guard message.hasPrefix("Unexpected argument ") || message.contains(" unexpected arguments: ") else { return nil }
    let words = quoted.map { "\"\($0)\"" }.joined(separator: ", ")
    return ErrorReport(
      summary: "\"\(place.path)\" does not take \(words)", detail: "It is written: \(place.usage)", hint: hint)
  }

  /// `The value 'x' is invalid for '--kind <kind>'. Please …` or `…: why`.
  private var invalid: ErrorReport? {
    guard message.hasPrefix("The value '"), let split = message.split("' is invalid for '"),
      let (name, why) = split.after.split("'")
    else { return nil }
    let value = split.before.dropFirst("The value '".count)
    var detail = String(why.drop { ":. ".contains($0) })
    if detail.hasPrefix("Please provide one of ") {
      detail = "Valid are " + detail.dropFirst("Please provide one of ".count)
    }
    return ErrorReport(
      summary: "\"\(value)\" is not valid for \(name)",
      detail: detail.isEmpty ? expectation : detail.withDoubleQuotes, hint: hint)
  }

  private var other: ErrorReport {
    var text = message
    if text.hasSuffix(".") { text.removeLast() }
    // An option's name begins with "-" and stays; a sentence becomes a summary.
    text = text.prefix(1).lowercased() + text.dropFirst()
    return ErrorReport(summary: text.withDoubleQuotes, hint: hint)
  }

  // MARK: - Words

  private var hint: String { Self.hint(place.path, example: place.example) }

  static func hint(_ path: String, example: String?) -> String {
    let more = "More: \(path) --help"
    return example.map { "For example: \($0)\n\(more)" } ?? more
  }

  /// `<job>  The job.` as a sentence.
  private var expectation: String? {
    expected.flatMap { $0.split("  ") }.map { "\($0.before): \($0.after)" }
  }

  /// What stands between single quotes.
  private var quoted: [String] {
    message.split(separator: "'", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
      .map { String($0.element) }
  }
}

extension String {
  fileprivate var withDoubleQuotes: String { String(map { $0 == "'" ? "\"" : $0 }) }

  /// What stands before and after the first `separator`; nil where it does not occur.
  fileprivate func split(_ separator: String) -> (before: String, after: String)? {
    var rest = self[...]
    while !rest.isEmpty {
      if rest.hasPrefix(separator) {
        return (String(self[..<rest.startIndex]), String(rest.dropFirst(separator.count)))
      }
      rest.removeFirst()
    }
    return nil
  }
}
