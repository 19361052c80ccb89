import DurableFiles
import Yams

/// A configuration file as a tree of nodes that know their place.
struct ConfigurationDocument {
  /// Nil for an empty file, or one that is not YAML.
  var root: Node?
  /// What is wrong with it as YAML.
  var problems: [ConfigurationProblem] = []

  /// Marks a key that has been reported as a duplicate: a character no file of ours has a use for.
  static let duplicateMark: Character = "\u{E000}"

  init(_ text: String) {
    // Editors of other systems leave a byte order mark.
    var text = text.hasPrefix("\u{FEFF}") ? String(text.unicodeScalars.dropFirst()) : text
    // The parser stops at the first mapping with a duplicate key. Each is reported and renamed, so that the rest of the
    // file is checked in the same go; places stay what they are, since a letter replaces a letter.
    for _ in 0..<32 {
      do {
        root = try compose(yaml: text)
        return
      } catch YamlError.duplicatedKeysInMapping(let names, let context) {
        let name = names.first ?? ""
        problems.append(
          ConfigurationProblem(
            line: context.mark.line, column: context.mark.column, key: "",
            message: "the key \"\(name)\" is there more than once in the same mapping"))
        guard let renamed = Self.renaming(text, at: context.mark) else { return }
        text = renamed
      } catch {
        problems.append(Self.problem(error, text: text))
        return
      }
    }
  }

  /// Replaces the first letter of the key at this place.
  private static func renaming(_ text: String, at mark: Mark) -> String? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0.unicodeScalars) }
    guard mark.line >= 1, mark.line <= lines.count, mark.column >= 1 else { return nil }
    var column = mark.column - 1
    let line = lines[mark.line - 1]
    if column < line.count, line[column] == "\"" || line[column] == "'" { column += 1 }
    guard column < line.count, line[column] != duplicateMark.unicodeScalars.first else { return nil }
    lines[mark.line - 1][column] = "\u{E000}"
    return lines.map { String(String.UnicodeScalarView($0)) }.joined(separator: "\n")
  }

  private static func problem(_ error: any Error, text: String) -> ConfigurationProblem {
    func problem(_ message: String, _ mark: Mark?) -> ConfigurationProblem {
      var result = ConfigurationProblem(
        line: mark?.line ?? 0, column: mark?.column ?? 0, key: "", message: "is not valid YAML: \(message)")
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      if let mark, mark.line >= 1, mark.line <= lines.count {
        let line = lines[mark.line - 1]
        if line.contains("schedule"), line.contains("*") || line.contains("@") {
          result.advice = "put the cron expression in quotes, as in schedule: \"*/5 * * * *\""
        } else if line.contains("\t") {
          result.advice = "indent with spaces, not with tabs"
        }
      }
      return result
    }
    switch error {
    case YamlError.scanner(let context, let text, let mark, _), YamlError.parser(let context, let text, let mark, _),
      YamlError.composer(let context, let text, let mark, _):
      return problem((context.map { $0.text + ", " } ?? "") + text, mark)
    case YamlError.reader(let text, _, _, _): return problem(text, nil)
    default: return problem(String(describing: error), nil)
    }
  }
}
