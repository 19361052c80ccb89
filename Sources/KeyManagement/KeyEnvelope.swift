public import BackupModel
internal import Cryptography

/// What unlocks the repository, as the configuration names it.
public enum Unlocking: Sendable {
  case keyFile(KeyFile)
  /// `encryption: none`: the data key lies in the repository.
  case unwrapped

  /// The envelope's name below `keys/<key-id>/`: each key file has its own.
  public var recipient: String {
    switch self {
    case .keyFile(let file): Self.keyFilePrefix + file.id
    case .unwrapped: "none"
    }
  }

  static let keyFilePrefix = "key-file-"

  /// Why none of the envelopes opens with this.
  public func failure(present recipients: [String]) -> KeyError {
    let keyFiles = recipients.filter { $0.hasPrefix(Self.keyFilePrefix) }.map { $0.dropFirst(Self.keyFilePrefix.count) }
    if case .keyFile(let file) = self, !keyFiles.isEmpty {
      return .wrongKeyFile(file.path, repositoryWants: keyFiles.joined(separator: " or "))
    }
    return .recipientMissing(wanted: recipient, present: recipients)
  }
}

/// The data key wrapped for one recipient: `keys/<key-id>/<recipient>.json`.
public struct KeyEnvelope: Sendable, Codable {
  public static let formatVersion = 1
  public var format: Int
  public var repository: RepositoryID
  public var key: KeyID
  /// Rises with each data key: new objects are sealed with the one that has the highest.
  public var sequence: Int
  /// `key-file-<id>` or `none`.
  public var recipient: String
  /// The id of the key file; absent for `none`.
  public var keyFile: String?
  /// Hexadecimal: a salt of 32 bytes; absent for `none`.
  public var salt: String?
  /// Hexadecimal: data key and fingerprint secret, 64 bytes, sealed with AES-256-GCM (nonce 0, the key is used once)
  /// under HKDF(key file, salt); plain for `none`.
  public var wrapped: String

  /// Wraps a data key.
  public init(_ dataKey: DataKey, repository: RepositoryID, sequence: Int = 1, for unlocking: Unlocking) throws {
    format = Self.formatVersion
    self.sequence = sequence
    self.repository = repository
    key = dataKey.id
    recipient = unlocking.recipient
    switch unlocking {
    case .unwrapped:
      wrapped = BytesText.hexadecimal(dataKey.secretBytes())
    case .keyFile(let file):
      let salt = try Random.bytes(32)
      let context = Self.context(repository, dataKey.id, sequence)
      let cipher = try AESGCM(key: file.key.derive(salt: salt, info: context), for: .seal)
      let plain = dataKey.secretBytes()
      var sealed = [UInt8](repeating: 0, count: plain.count + AESGCM.tagSize)
      try plain.withUnsafeBytes { plain in
        try sealed.withUnsafeMutableBytes {
          try cipher.seal(plain, nonce: 0, associated: UnsafeRawBufferPointer(start: nil, count: 0), into: $0)
        }
      }
      self.salt = BytesText.hexadecimal(salt)
      keyFile = file.id
      wrapped = BytesText.hexadecimal(sealed)
    }
  }

  /// The sequence is in it, so that a store cannot make an older key the current one.
  private static func context(_ repository: RepositoryID, _ key: KeyID, _ sequence: Int) -> String {
    "backupd envelope \(repository) \(key) \(sequence)"
  }

  /// - Throws: ``KeyError`` where the key file is another one, or the envelope is damaged.
  public func unlock(with unlocking: Unlocking, name: String) throws -> DataKey {
    guard format == Self.formatVersion else {
      throw KeyError.formatUnknown(name, found: format, known: Self.formatVersion)
    }
    guard let bytes = BytesText.bytes(hexadecimal: wrapped) else {
      throw KeyError.envelopeDamaged(name, reason: "The wrapped key is not hexadecimal.")
    }
    switch unlocking {
    case .unwrapped:
      guard bytes.count == 64 else {
        throw KeyError.envelopeDamaged(name, reason: "The key has \(bytes.count) bytes, not 64.")
      }
      return DataKey(id: key, secretBytes: bytes)
    case .keyFile(let file):
      guard let salt = salt.flatMap({ BytesText.bytes(hexadecimal: $0) }), bytes.count == 64 + AESGCM.tagSize else {
        throw KeyError.envelopeDamaged(name, reason: "Salt or wrapped key is missing or has a wrong length.")
      }
      guard keyFile == file.id else { throw KeyError.wrongKeyFile(file.path, repositoryWants: keyFile ?? "?") }
      let cipher = try AESGCM(
        key: file.key.derive(salt: salt, info: Self.context(repository, key, sequence)), for: .open)
      var plain = [UInt8](repeating: 0, count: 64)
      do {
        try bytes.withUnsafeBytes { sealed in
          try plain.withUnsafeMutableBytes {
            try cipher.open(sealed, nonce: 0, associated: UnsafeRawBufferPointer(start: nil, count: 0), into: $0)
          }
        }
      } catch CryptographyError.notAuthentic {
        throw KeyError.envelopeDamaged(name, reason: "It does not open with its key file \(file.id).")
      }
      return DataKey(id: key, secretBytes: plain)
    }
  }
}
