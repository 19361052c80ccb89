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

  /// Why the repository does not open.
  /// - Parameters:
  ///   - failures: What happened to recipients that were asked, by their place.
  ///   - names: Of the envelopes that there are.
  public func failure(_ failures: [Int: any Error], present names: [String]) -> any Error {
    func reason(_ index: Int) -> any Error {
      if case .unusable(let what, let cause) = recipients[index] { return KeyError.unusable(what, cause: cause) }
      return failures[index] ?? recipients[index].failure(present: names)
    }
    if recipients.count == 1 { return reason(0) }
    return KeyError.noneUnlocks(
      recipients.indices.map { .init(recipient: recipients[$0].description, cause: ErrorReport(reason($0))) })
  }
}
