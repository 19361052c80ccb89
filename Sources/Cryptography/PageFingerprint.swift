internal import COpenSSL

/// 128-bit keyed hash of a page.
public struct Fingerprint: Sendable, Hashable {
  public var low: UInt64
  public var high: UInt64
  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }
}

/// Computes fingerprints: `AES_k2(GMAC_k1(page))`, GMAC with a fixed nonce, the whole 128 bits.
///
/// GMAC under a fixed nonce is an almost-universal hash whose output must stay secret; the encryption under `k2` keeps
/// it so where fingerprints are stored. One per worker: contexts are not thread safe.
public struct PageFingerprinter: ~Copyable {
  /// Bytes that a page is padded to with zeros before it is hashed.
  public static let pageSize = 8192
  private let gmac: OpaquePointer
  private let block: OpaquePointer

  public init(key1: SymmetricKey, key2: SymmetricKey) throws(CryptographyError) {
    (gmac, block) = try Self.makeContexts(key1, key2)
  }

  private static func makeContexts(
    _ key1: SymmetricKey, _ key2: SymmetricKey
  ) throws(CryptographyError) -> (OpaquePointer, OpaquePointer) {
    let gmac = EVP_CIPHER_CTX_new()
    let block = EVP_CIPHER_CTX_new()
    if let gmac, let block {
      let first = key1.withBytes { EVP_EncryptInit_ex(gmac, EVP_aes_256_gcm(), nil, $0, nil) }
      let second = key2.withBytes { EVP_EncryptInit_ex(block, EVP_aes_256_ecb(), nil, $0, nil) }
      if first == 1, second == 1, EVP_CIPHER_CTX_set_padding(block, 0) == 1 { return (gmac, block) }
    }
    EVP_CIPHER_CTX_free(gmac)
    EVP_CIPHER_CTX_free(block)
    throw .library("set a cipher key")
  }

  deinit {
    EVP_CIPHER_CTX_free(gmac)
    EVP_CIPHER_CTX_free(block)
  }

  /// - Parameter slots: Whole pages of 8192 bytes, a short page padded with zeros.
  public func fingerprint(_ slots: UnsafeRawBufferPointer, into output: UnsafeMutableBufferPointer<Fingerprint>)
    throws(CryptographyError)
  {
    precondition(slots.count == output.count * Self.pageSize)
    guard let source = slots.bytes, let target = output.baseAddress else { return }
    // Zero nonce: fixed by design, see above.
    let failed = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 16) { scratch -> Bool in
      let bytes = scratch.baseAddress!.assumingMemoryBound(to: UInt8.self)
      scratch.initializeMemory(as: UInt8.self, repeating: 0)
      var length: CInt = 0
      for index in 0..<output.count {
        guard EVP_EncryptInit_ex(gmac, nil, nil, nil, bytes) == 1,
          EVP_EncryptUpdate(gmac, nil, &length, source + index * Self.pageSize, CInt(Self.pageSize)) == 1,
          EVP_EncryptFinal_ex(gmac, bytes + 16, &length) == 1,
          backupd_gcm_get_tag(gmac, bytes + 16) == 1
        else { return true }
        (target + index).withMemoryRebound(to: UInt8.self, capacity: 16) { _ = memcpy($0, bytes + 16, 16) }
      }
      return false
    }
    if failed { throw .library("compute GMAC") }
    try encrypt(output)
  }

  /// Of pieces of any length that follow one another: the length is part of what GMAC authenticates.
  /// - Parameters:
  ///   - ends: Where each piece ends, counted from the beginning of `bytes`; the first begins there.
  public func fingerprint(
    pieces ends: UnsafeBufferPointer<Int>, of bytes: UnsafeRawBufferPointer,
    into output: UnsafeMutableBufferPointer<Fingerprint>
  ) throws(CryptographyError) {
    precondition(ends.count == output.count && (ends.last ?? 0) <= bytes.count)
    guard let source = bytes.bytes, let target = output.baseAddress else { return }
    let failed = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 16) { scratch -> Bool in
      let nonce = scratch.baseAddress!.assumingMemoryBound(to: UInt8.self)
      scratch.initializeMemory(as: UInt8.self, repeating: 0)
      var length: CInt = 0
      var start = 0
      for index in 0..<output.count {
        guard EVP_EncryptInit_ex(gmac, nil, nil, nil, nonce) == 1,
          EVP_EncryptUpdate(gmac, nil, &length, source + start, CInt(ends[index] - start)) == 1,
          EVP_EncryptFinal_ex(gmac, nonce + 16, &length) == 1,
          backupd_gcm_get_tag(gmac, nonce + 16) == 1
        else { return true }
        (target + index).withMemoryRebound(to: UInt8.self, capacity: 16) { _ = memcpy($0, nonce + 16, 16) }
        start = ends[index]
      }
      return false
    }
    if failed { throw .library("compute GMAC") }
    try encrypt(output)
  }

  /// One pass over all tags: a call per tag would cost more than the hash.
  private func encrypt(_ tags: UnsafeMutableBufferPointer<Fingerprint>) throws(CryptographyError) {
    var length: CInt = 0
    let encrypted = tags.withMemoryRebound(to: UInt8.self) {
      EVP_EncryptUpdate(block, $0.baseAddress, &length, $0.baseAddress, CInt($0.count))
    }
    guard encrypted == 1, Int(length) == tags.count * 16 else { throw .library("encrypt fingerprints") }
  }
}
