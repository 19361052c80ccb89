internal import BackupModel

/// What a check's value has to be, from the columns beside it.
struct CheckRule: Hashable {
  var minimum: String?
  var maximum: String?
  var equal: String?
  /// Nothing worse than a warning comes of it.
  var warns = false

  /// - Returns: The verdict, and where the value breaks the rule how.
  func judge(_ value: String?) -> (verdict: CheckResult.Verdict, message: String?) {
    guard let problem = problem(value) else { return (.ok, nil) }
    return (warns ? .warning : .critical, problem)
  }

  private func problem(_ value: String?) -> String? {
    if let equal, value != equal {
      guard let value, let number = Double(value), let wanted = Double(equal), number == wanted else {
        return "It is not \(equal)."
      }
    }
    return bound(minimum, value, "less", <) ?? bound(maximum, value, "more", >)
  }

  private func bound(
    _ bound: String?, _ value: String?, _ word: String, _ isBeyond: (Double, Double) -> Bool
  ) -> String? {
    guard let bound else { return nil }
    guard let limit = Double(bound) else { return "The limit \"\(bound)\" is not a number." }
    guard let value else { return "It is NULL, which is neither less nor more than \(bound)." }
    guard let number = Double(value) else { return "\"\(value)\" is not a number to be compared with \(bound)." }
    return isBeyond(number, limit) ? "It is \(word) than \(bound)." : nil
  }
}
