public import BackupModel
public import Cryptography

/// The repository's secrets, all behind one data key.
public final class DataKey: Sendable {
  public let id: KeyID
  /// Everything sealed is sealed under keys derived from this.
  public let key: SymmetricKey
  /// Fingerprints come from this alone: a rotation draws a new `key` and carries this over.
  public let fingerprintSecret: SymmetricKey

  public init(id: KeyID, key: SymmetricKey, fingerprintSecret: SymmetricKey) {
    self.id = id
    self.key = key
    self.fingerprintSecret = fingerprintSecret
  }

  public static func random() throws -> DataKey {
    DataKey(id: .random(), key: try .random(), fingerprintSecret: try .random())
  }

  static let secretSize = 2 * SymmetricKey.size

  /// 64 bytes: what envelopes wrap. Whoever asks for them wipes them.
  func secretBytes() -> [UInt8] {
    var (first, second) = (key.reveal(), fingerprintSecret.reveal())
    defer {
      SecretBytes.wipe(&first)
      SecretBytes.wipe(&second)
    }
    return first + second
  }

  /// - Parameter secretBytes: 64 bytes, which the caller wipes.
  convenience init(id: KeyID, secretBytes: [UInt8]) {
    var (first, second) = (Array(secretBytes[..<SymmetricKey.size]), Array(secretBytes[SymmetricKey.size...]))
    defer {
      SecretBytes.wipe(&first)
      SecretBytes.wipe(&second)
    }
    self.init(id: id, key: SymmetricKey(first), fingerprintSecret: SymmetricKey(second))
  }

  /// Random bytes that only holders of the fingerprint secret know, the same each time: where pieces of dumps end follows
  /// from them, so that sizes tell nothing of content.
  /// - Parameter count: A multiple of 32.
  public func pieceBoundaryBytes(_ count: Int) throws -> [UInt8] {
    try (0..<(count / 32)).flatMap { number -> [UInt8] in
      try fingerprintSecret.derive(salt: [], info: "backupd piece boundaries \(number)").reveal()
    }
  }

  /// A fingerprinter for one worker.
  public func makeFingerprinter() throws -> PageFingerprinter {
    try PageFingerprinter(
      key1: fingerprintSecret.derive(salt: [], info: "backupd fingerprint 1"),
      key2: fingerprintSecret.derive(salt: [], info: "backupd fingerprint 2"))
  }
}
