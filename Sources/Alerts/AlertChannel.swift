public import BackupModel
public import BlockingWork
public import Transfer

/// A way on which messages reach people or programs.
public protocol AlertChannel: Sendable {
  /// `smtp`, `slack`: as the configuration calls it.
  var kind: String { get }

  /// Hands a message over. May be called again with the same message: after a crash nobody knows whether it got there.
  /// - Returns: Once the other side has taken it on.
  /// - Throws: ``AlertError`` and other `RemoteError`s, what reading a secret throws, `CancellationError`. Never with a
  ///   secret in its text.
  func deliver(_ message: AlertMessage, _ context: AlertContext, _ cancellation: Cancellation) throws -> AlertReceipt
}

/// What messages say of where they come from.
public struct AlertContext: Sendable {
  public var host: String
  public var channel: AlertChannelID
  public var now: Timestamp
  public init(host: String, channel: AlertChannelID, now: Timestamp) {
    self.host = host
    self.channel = channel
    self.now = now
  }
}

/// How a message was taken.
public struct AlertReceipt: Sendable, Hashable {
  /// The other side's words: `250 2.0.0 queued as 0001`.
  public var answer: String
  /// Some of those it was meant for do not get it.
  public var trouble: ErrorReport?
  public init(answer: String, trouble: ErrorReport? = nil) {
    self.answer = answer
    self.trouble = trouble
  }
}

/// A message was not taken.
public enum AlertError: RemoteError {
  /// - Parameter answer: What it said, a line at most.
  case refused(by: String, status: Int, answer: String, retryAfter: Duration?)
  case commandFailed(String, ending: String, output: String, isTransient: Bool)
  case commandMissing(String, reason: String)
  case commandTooSlow(String, after: Duration)
  /// What a secret holds is no address; what it is instead is not shown.
  case addressInvalid
  case noRoom(reason: String)

  public var summary: String {
    switch self {
    case .refused(let name, _, _, _): "\"\(name)\" did not take the message"
    case .commandFailed(let path, _, _, _): "\"\(path)\" did not take the message"
    case .commandMissing(let path, _): "could not run \"\(path)\""
    case .commandTooSlow(let path, _): "\"\(path)\" did not end"
    case .addressInvalid: "cannot use the address of the webhook"
    case .noRoom: "could not write down what a command is to read"
    }
  }
  public var detail: String? {
    switch self {
    case .refused(_, let status, let answer, _): "It answered \(status)" + (answer.isEmpty ? "." : ": \(answer)")
    case .commandFailed(_, let ending, let output, _):
      "It ended with \(ending)" + (output.isEmpty ? "." : ": \(output)")
    case .commandMissing(_, let reason), .noRoom(let reason): reason
    case .addressInvalid: "What the secret holds does not begin with \"https://\" or \"http://\", or holds blanks."
    case .commandTooSlow(_, let time): "It was stopped after \(DurationText.format(time))."
    }
  }
  public var hint: String? {
    switch self {
    case .refused(_, let status, _, _):
      [401, 403, 404, 410].contains(status)
        ? "Check the address and the secret that the channel names; it may have been withdrawn." : nil
    case .addressInvalid: "Write the address alone into what the channel names."
    case .commandMissing: "Name the absolute path of a program that the daemon's user may run."
    default: nil
    }
  }
  public var isTransient: Bool {
    switch self {
    case .refused(_, let status, _, _): status == 408 || status == 429 || status >= 500
    case .commandFailed(_, _, _, let isTransient): isTransient
    case .commandMissing, .commandTooSlow, .noRoom: true
    case .addressInvalid: false
    }
  }
  public var retryAfter: Duration? {
    if case .refused(_, _, _, let after) = self { after } else { nil }
  }
}
