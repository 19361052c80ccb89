internal import COpenSSL

/// AES-256-GCM under one key. Seals with a nonce that the caller never uses twice under that key.
/// One per thread: a context is not thread safe, hence `~Copyable`.
/// - SeeAlso: NIST SP 800-38D; OpenSSL, `EVP_EncryptInit(3)`, "GCM and OCB Modes".
public struct AESGCM: ~Copyable {
  /// Bytes that sealing adds.
  public static let tagSize = 16
  public static let keySize = 32
  private let context: OpaquePointer

  public enum Direction: Sendable { case seal, open }

  /// - Parameter key: 32 bytes.
  public init(key: SymmetricKey, for direction: Direction) throws(CryptographyError) {
    context = try Self.makeContext(key: key, for: direction)
  }

  private static func makeContext(
    key: SymmetricKey, for direction: Direction
  ) throws(CryptographyError) -> OpaquePointer {
    guard let context = EVP_CIPHER_CTX_new() else { throw .library("make a cipher context") }
    let result = key.withBytes { bytes in
      direction == .seal
        ? EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, bytes, nil)
        : EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, bytes, nil)
    }
    guard result == 1 else {
      EVP_CIPHER_CTX_free(context)
      throw .library("set a cipher key")
    }
    return context
  }

  deinit { EVP_CIPHER_CTX_free(context) }

  /// Encrypts `plain` into `output`, which is 16 bytes longer: the tag comes last.
  /// - Parameters:
  ///   - plain: May begin where `output` begins: it is encrypted in place then.
  ///   - nonce: The low 64 bits of a 96-bit nonce whose high 32 bits are zero.
  ///   - associated: Authenticated with the bytes, not stored with them.
  public func seal(
    _ plain: UnsafeRawBufferPointer, nonce: UInt64, associated: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer
  ) throws(CryptographyError) {
    precondition(output.count == plain.count + Self.tagSize && output.count <= CInt.max)
    let target = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
    var length: CInt = 0
    guard Self.withNonce(nonce, { EVP_EncryptInit_ex(context, nil, nil, nil, $0) }) == 1 else {
      throw .library("set a nonce")
    }
    guard EVP_EncryptUpdate(context, nil, &length, associated.bytes, CInt(associated.count)) == 1,
      EVP_EncryptUpdate(context, target, &length, plain.bytes, CInt(plain.count)) == 1,
      EVP_EncryptFinal_ex(context, target + plain.count, &length) == 1,
      backupd_gcm_get_tag(context, target + plain.count) == 1
    else { throw .library("encrypt") }
  }

  /// Decrypts what ``seal(_:nonce:associated:into:)`` wrote. `output` is meaningless where this throws.
  /// - Throws: ``CryptographyError/notAuthentic`` where the tag does not fit.
  public func open(
    _ sealed: UnsafeRawBufferPointer, nonce: UInt64, associated: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer
  ) throws(CryptographyError) {
    guard sealed.count >= Self.tagSize, output.count == sealed.count - Self.tagSize, sealed.count <= CInt.max
    else { throw .notAuthentic }
    let plainCount = output.count
    // An empty buffer may have no address; OpenSSL wants one all the same.
    var nothing: UInt8 = 0
    var length: CInt = 0
    guard Self.withNonce(nonce, { EVP_DecryptInit_ex(context, nil, nil, nil, $0) }) == 1 else {
      throw .library("set a nonce")
    }
    guard EVP_DecryptUpdate(context, nil, &length, associated.bytes, CInt(associated.count)) == 1 else {
      throw .library("decrypt")
    }
    if plainCount > 0 {
      let target = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
      guard EVP_DecryptUpdate(context, target, &length, sealed.bytes, CInt(plainCount)) == 1 else {
        throw .library("decrypt")
      }
    }
    guard backupd_gcm_set_tag(context, sealed.bytes! + plainCount) == 1 else { throw .library("decrypt") }
    guard EVP_DecryptFinal_ex(context, &nothing, &length) == 1 else { throw .notAuthentic }
  }

  private static func withNonce<Result>(_ nonce: UInt64, _ body: (UnsafePointer<UInt8>) -> Result) -> Result {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 12) { buffer in
      for index in 0..<12 { buffer[index] = index < 8 ? UInt8(truncatingIfNeeded: nonce >> (8 * UInt64(index))) : 0 }
      return body(UnsafePointer(buffer.baseAddress!))
    }
  }
}

extension UnsafeRawBufferPointer {
  var bytes: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
