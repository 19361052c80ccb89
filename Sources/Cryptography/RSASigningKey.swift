internal import COpenSSL

/// A private key that signs by RSASSA-PKCS1-v1_5 with SHA-256: what JSON Web Tokens call `RS256`.
/// - SeeAlso: RFC 8017, 8.2; RFC 7518, 3.3.
public struct RSASigningKey: ~Copyable {
  private let key: OpaquePointer

  /// - Parameter pem: A private key in PEM that needs no passphrase.
  /// - Throws: ``CryptographyError/library(_:)`` for anything else.
  public init(pem: [UInt8]) throws(CryptographyError) {
    // OpenSSL leaves its reasons in a queue of this thread, where the next caller would take them for his own.
    defer { ERR_clear_error() }
    guard let source = BIO_new_mem_buf(pem, CInt(clamping: pem.count)) else { throw .library("read a private key") }
    defer { BIO_free(source) }
    // Without a callback OpenSSL would ask the terminal for the passphrase.
    guard let key = PEM_read_bio_PrivateKey(source, nil, { _, _, _, _ in -1 }, nil) else {
      throw .library("read a private key")
    }
    guard EVP_PKEY_is_a(key, "RSA") == 1 else {
      EVP_PKEY_free(key)
      throw .library("read a private RSA key")
    }
    self.key = key
  }

  deinit { EVP_PKEY_free(key) }

  /// - Returns: As many bytes as the key is long: 256 for one of 2048 bits.
  public func sign(_ bytes: [UInt8]) throws(CryptographyError) -> [UInt8] {
    defer { ERR_clear_error() }
    guard let context = EVP_MD_CTX_new() else { throw .library("sign") }
    defer { EVP_MD_CTX_free(context) }
    var length = 0
    guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1,
      EVP_DigestSign(context, nil, &length, bytes, bytes.count) == 1
    else { throw .library("sign") }
    var signature = [UInt8](repeating: 0, count: length)
    guard EVP_DigestSign(context, &signature, &length, bytes, bytes.count) == 1 else { throw .library("sign") }
    return Array(signature.prefix(length))
  }
}
