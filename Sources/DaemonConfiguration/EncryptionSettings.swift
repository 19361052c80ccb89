/// A key of AWS KMS, and how it is reached.
public struct AWSKMSSettings: Sendable, Hashable {
  /// `alias/NAME`, the key's id or its ARN.
  public var key: String
  public var region: String
  /// `https://host:port` instead of Amazon's of the region.
  public var endpoint: String?
  /// Nil: what the environment, the shared file or the host's role gives.
  public var credentials: AWSKeySources?
}

extension RepositorySettings {
  /// Somebody the data key is wrapped for.
  public enum KeyRecipient: Sendable, Hashable {
    case keyFile(String)
    case awsKMS(AWSKMSSettings)

    /// `key-file` or `aws-kms`, as in the file.
    public var kind: String {
      switch self {
      case .keyFile: "key-file"
      case .awsKMS: "aws-kms"
      }
    }
  }

  /// How the data key is kept.
  public enum Encryption: Sendable, Hashable {
    /// For each of these, at least one; any of them opens it. They are asked in this order.
    case wrapped([KeyRecipient])
    /// Unwrapped in the repository: integrity, no secrecy.
    case none

    public static func keyFile(_ path: String) -> Encryption { .wrapped([.keyFile(path)]) }

    public var recipients: [KeyRecipient] {
      if case .wrapped(let recipients) = self { recipients } else { [] }
    }

    /// The key files among them, in their order.
    public var keyFiles: [String] {
      recipients.compactMap { if case .keyFile(let path) = $0 { path } else { nil } }
    }
  }
}
