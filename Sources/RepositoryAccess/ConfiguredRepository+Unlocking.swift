internal import BackupModel
public import DaemonConfiguration
public import KeyManagement
public import Systemd
internal import Transfer

extension ConfiguredRepository {
  /// What unlocks the repository. AWS is not asked yet.
  /// - Parameter credentials: Where the credentials lie that the configuration names.
  /// - Throws: `KeyError` where the only recipient is a key file that is missing, open to others or none; where there are
  ///   several, that is told only if nobody else opens the repository.
  public static func unlocking(_ settings: RepositorySettings, _ credentials: Credentials) throws -> Unlocking {
    let recipients = settings.encryption.recipients
    if recipients.isEmpty { return .unwrapped }
    return Unlocking(
      try recipients.map { settings in
        do {
          return try recipient(settings, credentials)
        } catch  where recipients.count > 1 {
          return .unusable(description(settings), cause: ErrorReport(error))
        }
      })
  }

  /// - Throws: `KeyError` where a key file cannot be used.
  public static func recipient(
    _ settings: RepositorySettings.KeyRecipient, _ credentials: Credentials
  ) throws -> KeyRecipient {
    switch settings {
    case .keyFile(let path): .keyFile(try KeyFile.read(path))
    case .awsKMS(let kms):
      .awsKMS(
        AWSKMSKey(
          AWSKMSKeyName(key: kms.key, region: kms.region), endpoint: kms.endpoint,
          credentials: awsCredentials(kms.credentials, SecretReader(credentials))))
    }
  }

  private static func description(_ settings: RepositorySettings.KeyRecipient) -> String {
    switch settings {
    case .keyFile(let path): "key file \"\(path)\""
    case .awsKMS(let kms): AWSKMSKeyName(key: kms.key, region: kms.region).description
    }
  }
}
