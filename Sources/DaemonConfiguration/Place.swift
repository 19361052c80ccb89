import Yams

/// Collects what is wrong, so that a file's errors are all told at once.
final class ProblemList {
  private(set) var problems: [ConfigurationProblem] = []

  func add(_ problem: ConfigurationProblem) { if !problems.contains(problem) { problems.append(problem) } }

  /// In the order of the file.
  var sorted: [ConfigurationProblem] {
    problems.enumerated().sorted {
      ($0.element.line, $0.element.column, $0.offset) < ($1.element.line, $1.element.column, $1.offset)
    }
    .map(\.element)
  }
}

/// A value in the file: its node, the path of keys that leads to it, and where to report what is wrong with it.
struct Place {
  let node: Node
  let path: String
  let problems: ProblemList

  func report(_ message: String, advice: String? = nil) {
    problems.add(
      ConfigurationProblem(
        line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, key: path, message: message, advice: advice))
  }

  func child(_ node: Node, _ name: String) -> Place {
    Place(node: node, path: path.isEmpty ? name : path + "." + name, problems: problems)
  }

  /// An entry of a list, counted from 0 here and from 1 for people.
  func element(_ node: Node, _ index: Int) -> Place {
    Place(node: node, path: path + "[\(index + 1)]", problems: problems)
  }

  /// Whether nothing was found wrong with it or below it.
  var isFine: Bool { !problems.problems.contains { $0.key == path || $0.key.hasPrefix(path + ".") } }

  /// What kind of value it is, for messages.
  var shape: String {
    switch node {
    case .scalar: isNull ? "nothing" : "a single value"
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }

  /// `key:` with nothing after it, or `~` or `null`.
  var isNull: Bool {
    plainText.map { ["", "~", "null", "Null", "NULL"].contains($0) } ?? false
  }

  /// The text of a single value; reports where it is none.
  func text(expected: String) -> String? {
    guard case .scalar(let scalar) = node, !isNull else {
      report("must be \(expected), not \(shape)")
      return nil
    }
    return scalar.string
  }

  /// The text of an unquoted single value, nil otherwise.
  var plainText: String? {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return nil }
    return scalar.string
  }
}
