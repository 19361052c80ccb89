internal import COpenSSL

/// SHA-256 of bytes that come in pieces (FIPS 180-4).
public final class SHA256Hasher {
  private let context: OpaquePointer

  public init() throws(CryptographyError) {
    guard let context = EVP_MD_CTX_new() else { throw .library("hash") }
    self.context = context
    guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else { throw .library("hash") }
  }
  deinit { EVP_MD_CTX_free(context) }

  public func update(_ bytes: UnsafeRawBufferPointer) throws(CryptographyError) {
    guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else { throw .library("hash") }
  }

  /// The digest, 32 bytes; the hasher is used up.
  public func finish() throws(CryptographyError) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    guard EVP_DigestFinal_ex(context, &digest, nil) == 1 else { throw .library("hash") }
    return digest
  }
}
