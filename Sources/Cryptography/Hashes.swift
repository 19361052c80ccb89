internal import COpenSSL

/// SHA-256 (FIPS 180-4).
public enum SHA256Digest {
  /// - Returns: 32 bytes.
  public static func hash(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    SHA256(bytes, bytes.count, &digest)
    return digest
  }

  /// Of several pieces as if they were one.
  public static func hash(pieces: [UnsafeRawBufferPointer]) throws(CryptographyError) -> [UInt8] {
    let hasher = try SHA256Hasher()
    for piece in pieces { try hasher.update(piece) }
    return try hasher.finish()
  }
}

/// MD5 (RFC 1321), for the `Content-MD5` that some servers demand. It proves nothing against an attacker.
public enum MD5Digest {
  /// - Returns: 16 bytes.
  public static func hash(_ bytes: UnsafeRawBufferPointer) throws(CryptographyError) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 16)
    var length: CUnsignedInt = 0
    guard EVP_Digest(bytes.baseAddress, bytes.count, &digest, &length, EVP_md5(), nil) == 1 else {
      throw .library("hash")
    }
    return digest
  }
}

/// HMAC-SHA256 (RFC 2104).
public enum MessageCode {
  /// - Returns: 32 bytes.
  public static func compute(_ bytes: [UInt8], key: SymmetricKey) throws(CryptographyError) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: 32)
    var length: CUnsignedInt = 0
    let result = key.withBytes { HMAC(EVP_sha256(), $0, CInt(SymmetricKey.size), bytes, bytes.count, &code, &length) }
    guard result != nil, length == 32 else { throw .library("compute an HMAC") }
    return code
  }

  /// - Parameter key: Of any length.
  /// - Returns: 32 bytes.
  public static func compute(_ bytes: [UInt8], key: [UInt8]) throws(CryptographyError) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: 32)
    var length: CUnsignedInt = 0
    let result = HMAC(EVP_sha256(), key, CInt(key.count), bytes, bytes.count, &code, &length)
    guard result != nil, length == 32 else { throw .library("compute an HMAC") }
    return code
  }

  /// Compares in constant time.
  public static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
  }
}

/// Hexadecimal and base64 of bytes, without Foundation.
public enum BytesText {
  public static func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Nil where the text is not an even number of hexadecimal digits.
  public static func bytes(hexadecimal text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0 else { return nil }
    func value(_ digit: UInt8) -> UInt8? {
      switch digit {
      case 0x30...0x39: digit - 0x30
      case 0x41...0x46: digit - 0x41 + 10
      case 0x61...0x66: digit - 0x61 + 10
      default: nil
      }
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }
}
