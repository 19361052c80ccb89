/// An error a person will read, in PostgreSQL's three parts.
///
/// `summary` says what could not be done and to what, in lower case without a full stop. `detail` gives the facts,
/// never a secret. `hint` says what to do next, with the command.
public protocol OperatorError: Error, Sendable {
  var summary: String { get }
  var detail: String? { get }
  var hint: String? { get }
}

extension OperatorError {
  public var detail: String? { nil }
  public var hint: String? { nil }
}

/// The three parts of an error as plain values: what run records, the control protocol and `--json` carry.
public struct ErrorReport: Sendable, Hashable, Codable, CustomStringConvertible {
  public var summary: String
  public var detail: String?
  public var hint: String?

  public init(summary: String, detail: String? = nil, hint: String? = nil) {
    self.summary = summary
    self.detail = detail
    self.hint = hint
  }

  /// The report of any error: the three parts of an ``OperatorError``, or what the error says of itself.
  public init(_ error: any Error) {
    if let error = error as? any OperatorError {
      self.init(summary: error.summary, detail: error.detail, hint: error.hint)
    } else if error is CancellationError {
      self.init(summary: "cancelled")
    } else {
      self.init(summary: String(describing: error))
    }
  }

  public var description: String {
    [summary, detail.map { "DETAIL: \($0)" }, hint.map { "HINT: \($0)" }].compactMap { $0 }.joined(separator: "\n")
  }
}

/// Text that does not have the form its type demands.
public enum FormatError: OperatorError, Equatable {
  case invalid(what: String, text: String, expected: String)

  public var summary: String {
    switch self {
    case .invalid(let what, let text, _): "\"\(text.prefix(120))\" is not a valid \(what)"
    }
  }
  public var detail: String? {
    switch self {
    case .invalid(_, _, let expected): "Expected \(expected)."
    }
  }
}
