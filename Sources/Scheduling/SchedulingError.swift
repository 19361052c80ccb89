public import BackupModel

/// A schedule or a time zone that cannot be used.
public enum SchedulingError: OperatorError, Equatable {
  /// - Parameters:
  ///   - problem: What is wrong, a full sentence.
  ///   - advice: What to write instead; nil where the problem says it.
  case cronInvalid(expression: String, problem: String, advice: String?)
  /// No time zone of this name is installed.
  case zoneUnknown(name: String)
  /// The zone's file, or a `TZ` rule, has another form than RFC 8536 and POSIX describe.
  case zoneInvalid(name: String, problem: String)

  public var summary: String {
    switch self {
    case .cronInvalid(let expression, _, _): "\"\(expression.prefix(120))\" is not a valid schedule"
    case .zoneUnknown(let name): "\"\(name.prefix(120))\" is not a time zone of this system"
    case .zoneInvalid(let name, _): "could not read the time zone \"\(name.prefix(120))\""
    }
  }
  public var detail: String? {
    switch self {
    case .cronInvalid(_, let problem, _): problem
    case .zoneUnknown: nil
    case .zoneInvalid(_, let problem): problem
    }
  }
  public var hint: String? {
    switch self {
    case .cronInvalid(_, _, let advice): advice
    case .zoneUnknown: "Write a name such as Europe/Berlin or UTC; \"timedatectl list-timezones\" prints them."
    case .zoneInvalid: "Install the package tzdata anew, or name another time zone."
    }
  }
}
