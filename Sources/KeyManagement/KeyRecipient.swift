public import BackupModel
internal import Cryptography

/// Somebody the data key is wrapped for, and what it takes to open it as him.
public enum KeyRecipient: Sendable, CustomStringConvertible {
  case keyFile(KeyFile)
  case awsKMS(AWSKMSKey)
  /// `encryption: none`: the data key lies in the repository.
  case unwrapped
  /// Configured, and of no use for now: his key file cannot be read.
  case unusable(String, cause: ErrorReport)

  static let keyFilePrefix = "key-file-"
  static let noneName = "none"

  /// For messages.
  public var description: String {
    switch self {
    case .keyFile(let file): "key file \"\(file.path)\""
    case .awsKMS(let key): key.name.description
    case .unwrapped: Self.noneName
    case .unusable(let what, _): what
    }
  }

  /// Whether `keys/<key-id>/<name>.json` may be his. A key of KMS is known by its ARN there, and perhaps by an alias here:
  /// whatever was wrapped in its region may be.
  public func mayOpen(_ name: String) -> Bool {
    switch self {
    case .keyFile(let file): return name == Self.keyFilePrefix + file.id
    case .unwrapped: return name == Self.noneName
    case .unusable: return false
    case .awsKMS(let key):
      let prefix = Self.awsKMSPrefix(key.name.region)
      return name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + 8
    }
  }

  private static func awsKMSPrefix(_ region: String) -> String { "aws-kms-\(region)-" }

  /// `aws-kms-us-east-1-0f3a9b77`: the digits tell keys of a region apart.
  static func awsKMSName(region: String, keyARN: String) -> String {
    awsKMSPrefix(region) + BytesText.hexadecimal(Array(SHA256Digest.hash(Array(keyARN.utf8)).prefix(4)))
  }

  /// Why none of the envelopes opens with this recipient alone.
  func failure(present names: [String]) -> KeyError {
    if case .unusable(let what, let cause) = self { return .unusable(what, cause: cause) }
    let keyFiles = names.filter { $0.hasPrefix(Self.keyFilePrefix) }.map { $0.dropFirst(Self.keyFilePrefix.count) }
    if case .keyFile(let file) = self {
      if keyFiles.isEmpty { return .recipientMissing(wanted: Self.keyFilePrefix + file.id, present: names) }
      return .wrongKeyFile(file.path, repositoryWants: keyFiles.joined(separator: " or "))
    }
    return .recipientMissing(wanted: description, present: names)
  }
}

/// What unlocks the repository, as the configuration names it: recipients in the order in which they are asked.
public struct Unlocking: Sendable {
  public let recipients: [KeyRecipient]

  /// - Parameter recipients: At least one.
  public init(_ recipients: [KeyRecipient]) {
    precondition(!recipients.isEmpty)
    self.recipients = recipients
  }

  public static let unwrapped = Unlocking([.unwrapped])
  public static func keyFile(_ file: KeyFile) -> Unlocking { Unlocking([.keyFile(file)]) }

  /// An envelope that a recipient could not open.
  public struct Failure: Sendable {
    /// The recipient's place.
    public var recipient: Int
    /// The object's name.
    public var envelope: String
    public var cause: any Error
    public init(recipient: Int, envelope: String, cause: any Error) {
      self.recipient = recipient
      self.envelope = envelope
      self.cause = cause
    }
  }

  /// Why the repository does not open.
  /// - Parameter names: Of the recipients that there are envelopes for.
  public func failure(_ failures: [Failure], present names: [String]) -> any Error {
    var reasons: [(recipient: Int, envelope: String?, cause: any Error)] = []
    for (index, recipient) in recipients.enumerated() {
      let own = failures.filter { $0.recipient == index }
      for failure in own { reasons.append((index, failure.envelope, failure.cause)) }
      if own.isEmpty { reasons.append((index, nil, recipient.failure(present: names))) }
    }
    if reasons.count == 1 { return reasons[0].cause }
    return KeyError.noneUnlocks(
      reasons.map {
        .init(recipient: recipients[$0.recipient].description, envelope: $0.envelope, cause: ErrorReport($0.cause))
      })
  }
}
