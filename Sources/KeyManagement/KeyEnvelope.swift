public import BackupModel
public import BlockingWork
internal import Cryptography

/// The data key wrapped for one recipient: `keys/<key-id>/<recipient>.json`.
public struct KeyEnvelope: Sendable, Codable {
  public static let formatVersion = 1
  public var format: Int
  public var repository: RepositoryID
  public var key: KeyID
  /// Rises with each data key: new objects are sealed with the one that has the highest.
  public var sequence: Int
  /// `key-file-<id>`, `aws-kms-<region>-<digits>` or `none`.
  public var recipient: String
  /// The id of the key file; absent for others.
  public var keyFile: String?
  /// The ARN of the key of AWS KMS; absent for others.
  public var awsKey: String?
  /// Where that key is; absent for others.
  public var region: String?
  /// Hexadecimal: a salt of 32 bytes; only for a key file.
  public var salt: String?
  /// Hexadecimal: data key and fingerprint secret, 64 bytes. For a key file sealed with AES-256-GCM (nonce 0, the key is
  /// used once) under HKDF(key file, salt); for AWS KMS what it made of them; plain for `none`.
  public var wrapped: String

  /// Wraps a data key.
  /// - Throws: ``AWSKMSError``; ``KeyError/unusable(_:cause:)``; `CancellationError`.
  public init(
    _ dataKey: DataKey, repository: RepositoryID, sequence: Int = 1, for recipient: KeyRecipient,
    cancellation: Cancellation = Cancellation()
  ) throws {
    format = Self.formatVersion
    self.sequence = sequence
    self.repository = repository
    key = dataKey.id
    var secret = dataKey.secretBytes()
    defer { SecretBytes.wipe(&secret) }
    switch recipient {
    case .unwrapped:
      self.recipient = KeyRecipient.noneName
      wrapped = BytesText.hexadecimal(secret)
    case .keyFile(let file):
      let salt = try Random.bytes(32)
      self.recipient = KeyRecipient.keyFilePrefix + file.id
      self.salt = BytesText.hexadecimal(salt)
      keyFile = file.id
      wrapped = BytesText.hexadecimal(
        try Self.seal(secret, file, salt: salt, info: Self.info(repository, dataKey.id, sequence)))
    case .awsKMS(let awsKey):
      let result = try awsKey.wrap(secret, context: Self.context(repository, dataKey.id, sequence), cancellation)
      self.recipient = KeyRecipient.awsKMSName(region: awsKey.name.region, keyARN: result.keyARN)
      self.awsKey = result.keyARN
      region = awsKey.name.region
      wrapped = BytesText.hexadecimal(result.blob)
    case .unusable(let what, let cause): throw KeyError.unusable(what, cause: cause)
    }
  }

  private static func seal(_ secret: [UInt8], _ file: KeyFile, salt: [UInt8], info: String) throws -> [UInt8] {
    let cipher = try AESGCM(key: file.key.derive(salt: salt, info: info), for: .seal)
    var sealed = [UInt8](repeating: 0, count: secret.count + AESGCM.tagSize)
    try secret.withUnsafeBytes { plain in
      try sealed.withUnsafeMutableBytes {
        try cipher.seal(plain, nonce: 0, associated: UnsafeRawBufferPointer(start: nil, count: 0), into: $0)
      }
    }
    return sealed
  }

  /// The sequence is in it, so that a store cannot make an older key the current one.
  private static func info(_ repository: RepositoryID, _ key: KeyID, _ sequence: Int) -> String {
    "backupd envelope \(repository) \(key) \(sequence)"
  }

  /// The same for AWS KMS, which binds it to what it wraps and shows it in its log; nothing of it is secret.
  static func context(_ repository: RepositoryID, _ key: KeyID, _ sequence: Int) -> [String: String] {
    ["backupd-repository": "\(repository)", "backupd-key": "\(key)", "backupd-sequence": "\(sequence)"]
  }

  /// - Throws: ``KeyError`` where the recipient is another one, or the envelope is damaged; ``AWSKMSError``;
  ///   `CancellationError`.
  public func unlock(
    with recipient: KeyRecipient, name: String, cancellation: Cancellation = Cancellation()
  ) throws -> DataKey {
    guard format == Self.formatVersion else {
      throw KeyError.formatUnknown(name, found: format, known: Self.formatVersion)
    }
    guard let bytes = BytesText.bytes(hexadecimal: wrapped) else {
      throw KeyError.envelopeDamaged(name, reason: "The wrapped key is not hexadecimal.")
    }
    var secret: [UInt8]
    switch recipient {
    case .unwrapped: secret = bytes
    case .keyFile(let file): secret = try open(bytes, file, name)
    case .awsKMS(let awsKey):
      secret = try awsKey.unwrap(bytes, context: Self.context(repository, key, sequence), cancellation)
    case .unusable(let what, let cause): throw KeyError.unusable(what, cause: cause)
    }
    defer { SecretBytes.wipe(&secret) }
    guard secret.count == DataKey.secretSize else {
      throw KeyError.envelopeDamaged(name, reason: "The key has \(secret.count) bytes, not \(DataKey.secretSize).")
    }
    return DataKey(id: key, secretBytes: secret)
  }

  private func open(_ sealed: [UInt8], _ file: KeyFile, _ name: String) throws -> [UInt8] {
    guard let salt = salt.flatMap({ BytesText.bytes(hexadecimal: $0) }),
      sealed.count == DataKey.secretSize + AESGCM.tagSize
    else { throw KeyError.envelopeDamaged(name, reason: "Salt or wrapped key is missing or has a wrong length.") }
    guard keyFile == file.id else { throw KeyError.wrongKeyFile(file.path, repositoryWants: keyFile ?? "?") }
    let cipher = try AESGCM(key: file.key.derive(salt: salt, info: Self.info(repository, key, sequence)), for: .open)
    var plain = [UInt8](repeating: 0, count: DataKey.secretSize)
    do {
      try sealed.withUnsafeBytes { sealed in
        try plain.withUnsafeMutableBytes {
          try cipher.open(sealed, nonce: 0, associated: UnsafeRawBufferPointer(start: nil, count: 0), into: $0)
        }
      }
    } catch CryptographyError.notAuthentic {
      throw KeyError.envelopeDamaged(name, reason: "It does not open with its key file \(file.id).")
    }
    return plain
  }
}
