internal import COpenSSL

/// 32 secret bytes in locked memory that no core dump holds, wiped when they go away.
public final class SymmetricKey: Sendable, CustomStringConvertible, CustomReflectable {
  public static let size = 32
  private nonisolated(unsafe) let storage: UnsafeMutablePointer<UInt8>

  /// A new one from OpenSSL's generator.
  public static func random() throws(CryptographyError) -> SymmetricKey {
    var bytes = try Random.bytes(size)
    defer { SecretBytes.wipe(&bytes) }
    return SymmetricKey(bytes)
  }

  /// - Parameter bytes: Exactly 32.
  public init(_ bytes: [UInt8]) {
    precondition(bytes.count == Self.size)
    storage = KeyMemory.take()
    storage.update(from: bytes, count: Self.size)
  }

  deinit { KeyMemory.give(storage) }

  func withBytes<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result { body(storage) }

  /// The bytes, to be wrapped for a recipient and nothing else; whoever asks for them wipes them.
  public func reveal() -> [UInt8] { Array(UnsafeBufferPointer(start: storage, count: Self.size)) }

  /// HKDF-SHA256: a key for one purpose.
  /// - SeeAlso: RFC 5869.
  public func derive(salt: [UInt8], info: String) throws(CryptographyError) -> SymmetricKey {
    var output = [UInt8](repeating: 0, count: Self.size)
    let information = Array(info.utf8)
    guard
      backupd_hkdf_sha256(storage, Self.size, salt, salt.count, information, information.count, &output, Self.size) == 1
    else { throw .library("derive a key") }
    defer { SecretBytes.wipe(&output) }
    return SymmetricKey(output)
  }

  public var description: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Random bytes from OpenSSL's generator.
public enum Random {
  public static func bytes(_ count: Int) throws(CryptographyError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&bytes, CInt(count)) == 1 else { throw .library("draw random bytes") }
    return bytes
  }
}
