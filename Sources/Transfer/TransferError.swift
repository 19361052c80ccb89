public import BackupModel

/// Another host did not do what it was asked.
public protocol RemoteError: OperatorError {
  /// Whether asking again can help.
  var isTransient: Bool { get }
  /// How long it wants to be left alone; nil where it did not say.
  var retryAfter: Duration? { get }
}

extension RemoteError {
  public var retryAfter: Duration? { nil }
}

/// A transfer did not come to an answer: nothing is known of what the server did.
public enum TransferError: RemoteError {
  /// libcurl's own words, which name host and port and never a secret.
  case failed(host: String, reason: String, isTransient: Bool)
  /// Below the rate that a server must keep, for longer than it may.
  case tooSlow(host: String, floor: Int, patience: Duration)
  /// More bytes than asked for.
  case tooLong(host: String, limit: Int)

  public var summary: String {
    switch self {
    case .failed(let host, _, _), .tooSlow(let host, _, _), .tooLong(let host, _): "could not talk to \"\(host)\""
    }
  }
  public var detail: String? {
    switch self {
    case .failed(_, let reason, _): reason
    case .tooSlow(_, let floor, let patience):
      "Less than \(floor) bytes a second came or went for \(DurationText.format(patience))."
    case .tooLong(_, let limit): "It sent more than the \(limit) bytes that were asked for."
    }
  }
  public var hint: String? {
    switch self {
    case .failed(_, _, let isTransient):
      isTransient ? nil : "Check the endpoint, and that its certificate is from an authority this host trusts."
    default: nil
    }
  }
  public var isTransient: Bool {
    switch self {
    case .failed(_, _, let isTransient): isTransient
    case .tooSlow, .tooLong: true
    }
  }
}
