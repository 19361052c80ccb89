/// What one check of a database found: an element of `checks` in a run's record.
public struct CheckResult: Sendable, Hashable, Codable {
  public enum Verdict: String, Sendable, Hashable, Codable { case ok, warning, critical }

  public var name: String
  /// As PostgreSQL prints it; nil for NULL and for a check that has none.
  public var value: String?
  public var verdict: Verdict
  /// Why the verdict is what it is, or what else there is to say.
  public var message: String?
  /// What the statement said besides: `RAISE NOTICE`.
  public var notices: [String]
  /// Whether a smaller value than the last time is nothing to speak of.
  public var mayFall: Bool

  public init(
    name: String, value: String? = nil, verdict: Verdict = .ok, message: String? = nil, notices: [String] = [],
    mayFall: Bool = false
  ) {
    self.name = name
    self.value = value
    self.verdict = verdict
    self.message = message
    self.notices = notices
    self.mayFall = mayFall
  }
}

extension CheckResult {
  /// The first of some, for messages.
  public static func sentences(_ checks: [CheckResult]) -> String {
    checks.prefix(5).map { check in
      "\(check.name)\(check.value.map { " is \($0)" } ?? ""): \(check.message ?? "")"
    }.joined(separator: " ")
  }

  /// What warnings among some say, a sentence each.
  public static func warnings(_ checks: [CheckResult]) -> [String] {
    checks.filter { $0.verdict == .warning }.map { check in
      let value = check.value.map { " is \($0)" } ?? ""
      let words = (check.message ?? check.notices.first).map { ": \($0)" } ?? ""
      return "check \"\(check.name)\"\(value)\(words)"
    }
  }

  /// Fewer than this may come and go.
  private static let smallest = 10.0

  /// The same with a warning where the value fell implausibly since the last time: to zero, or by half from ten or more.
  public func compared(with earlier: [CheckResult]) -> CheckResult {
    guard verdict == .ok, !mayFall, let now = value.flatMap(Double.init),
      let last = earlier.first(where: { $0.name == name })?.value.flatMap(Double.init), last > 0, now < last
    else { return self }
    guard now <= 0 || (last >= Self.smallest && now <= last / 2) else { return self }
    var result = self
    result.verdict = .warning
    let fall = "The last run found \(earlier.first { $0.name == name }?.value ?? "")."
    result.message = message.map { "\($0) \(fall)" } ?? fall
    return result
  }
}

/// What a drill proved: `drill` in a run's record.
public struct DrillRecord: Sendable, Hashable, Codable {
  /// Where the backup came from; nil where any store was good enough.
  public var store: StoreID?
  /// How the recovery target is called in messages: `end of WAL`.
  public var target: String
  /// Where the target lies in the WAL.
  public var targetLSN: LSN?
  /// As far as the server replayed.
  public var replayedLSN: LSN?
  /// From the first byte read until the server answered queries; nil where it never did.
  public var measuredRTOSeconds: Double?
  /// WAL that was replayed.
  public var walBytes: ByteCount?
  /// When the newest heartbeat that the restored cluster holds was written.
  public var heartbeat: Timestamp?

  public init(store: StoreID?, target: String, targetLSN: LSN?) {
    self.store = store
    self.target = target
    self.targetLSN = targetLSN
  }
}
