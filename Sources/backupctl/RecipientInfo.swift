import BackupModel
import DaemonConfiguration
import KeyManagement
import Repository

/// Somebody the data key is wrapped for, as the repository has him.
struct RecipientInfo: JSONConvertible {
  var recipient: Repository.Recipient
  /// Whether the repository was opened as him just now.
  var isInUse: Bool
  /// His key file, where it is the one the configuration names.
  var keyFile: String?

  /// By name.
  static func all(of repository: Repository, _ settings: RepositorySettings) throws -> [RecipientInfo] {
    let files = settings.encryption.keyFiles.compactMap { try? KeyFile.read($0) }
    return try repository.recipients().map { recipient in
      RecipientInfo(
        recipient: recipient, isInUse: recipient.name == repository.keys.recipient,
        keyFile: files.first { KeyRecipient.keyFile($0).mayOpen(recipient.name) }?.path)
    }
  }

  private var kind: String {
    for kind in ["key-file", "aws-kms"] where recipient.name.hasPrefix(kind + "-") { return kind }
    return recipient.name
  }

  var json: JSONValue {
    let envelope = recipient.envelope
    return .fields([
      "name": recipient.name, "kind": kind, "keyFile": keyFile, "keyFileID": envelope?.keyFile,
      "awsKey": envelope?.awsKey, "region": envelope?.region, "inUse": isInUse,
    ])
  }

  var text: String {
    guard let envelope = recipient.envelope else {
      return "recipient \(recipient.name): " + "its envelope cannot be read".styled(.bad)
    }
    let use = isInUse ? ", opened with it" : ""
    switch kind {
    case "key-file": return "encrypted, key file \(keyFile.map { "\"\($0)\"" } ?? envelope.keyFile ?? "?")\(use)"
    case "aws-kms": return "encrypted, AWS KMS key \(envelope.awsKey ?? "?") in \(envelope.region ?? "?")\(use)"
    case "none": return "not encrypted"
    default: return "recipient \(recipient.name)"
    }
  }
}

extension RepositorySettings.Encryption {
  /// `none`, or the kind of the recipient that is asked first.
  var kind: String { recipients.first?.kind ?? "none" }
}
