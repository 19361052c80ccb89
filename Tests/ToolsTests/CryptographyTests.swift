import Compression
import Foundation
import Testing

@testable import Cryptography

@Suite("Sealing") struct CryptographyTests {
  private func seal(_ plain: [UInt8], _ key: SymmetricKey, nonce: UInt64, associated: [UInt8] = []) throws -> [UInt8] {
    let cipher = try AESGCM(key: key, for: .seal)
    var sealed = [UInt8](repeating: 0, count: plain.count + AESGCM.tagSize)
    try plain.withUnsafeBytes { plain in
      try associated.withUnsafeBytes { associated in
        try sealed.withUnsafeMutableBytes { try cipher.seal(plain, nonce: nonce, associated: associated, into: $0) }
      }
    }
    return sealed
  }

  private func open(_ sealed: [UInt8], _ key: SymmetricKey, nonce: UInt64, associated: [UInt8] = []) throws -> [UInt8] {
    let cipher = try AESGCM(key: key, for: .open)
    var plain = [UInt8](repeating: 0, count: max(0, sealed.count - AESGCM.tagSize))
    try sealed.withUnsafeBytes { sealed in
      try associated.withUnsafeBytes { associated in
        try plain.withUnsafeMutableBytes { try cipher.open(sealed, nonce: nonce, associated: associated, into: $0) }
      }
    }
    return plain
  }

  @Test("is AES-256-GCM: test cases 13 and 14 of the GCM specification")
  func knownVectors() throws {
    let zero = SymmetricKey([UInt8](repeating: 0, count: 32))
    #expect(BytesText.hexadecimal(try seal([], zero, nonce: 0)) == "530f8afbc74536b9a963b4f1c4cb738b")
    #expect(
      BytesText.hexadecimal(try seal([UInt8](repeating: 0, count: 16), zero, nonce: 0))
        == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
  }

  @Test("opens what it sealed, and nothing that differs in a bit, the nonce, the key or the associated bytes")
  func opensOnlyTheSame() throws {
    let key = try SymmetricKey.random()
    for count in [0, 1, 15, 16, 17, 1000] {
      let plain = (0..<count).map { _ in UInt8.random(in: 0...255) }
      let sealed = try seal(plain, key, nonce: 7, associated: [1, 2, 3])
      #expect(try open(sealed, key, nonce: 7, associated: [1, 2, 3]) == plain)
      #expect(throws: CryptographyError.self) { try open(sealed, key, nonce: 8, associated: [1, 2, 3]) }
      #expect(throws: CryptographyError.self) { try open(sealed, key, nonce: 7, associated: [1, 2]) }
      #expect(throws: CryptographyError.self) { try open(sealed, .random(), nonce: 7, associated: [1, 2, 3]) }
      #expect(throws: CryptographyError.self) { try open(Array(sealed.dropLast()), key, nonce: 7) }
      for index in sealed.indices.prefix(40) {
        var changed = sealed
        changed[index] ^= 1
        #expect(throws: CryptographyError.self) { try open(changed, key, nonce: 7, associated: [1, 2, 3]) }
      }
    }
    #expect(throws: CryptographyError.self) { try open([], key, nonce: 0) }
  }

  @Test("HMAC gives the values of RFC 4231")
  func hmac() throws {
    // A key shorter than the block is padded with zeros, so these may be given as 32 bytes.
    let first = SymmetricKey([UInt8](repeating: 0x0B, count: 20) + [UInt8](repeating: 0, count: 12))
    #expect(
      BytesText.hexadecimal(try MessageCode.compute(Array("Hi There".utf8), key: first))
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    let second = SymmetricKey(Array("Jefe".utf8) + [UInt8](repeating: 0, count: 28))
    #expect(
      BytesText.hexadecimal(try MessageCode.compute(Array("what do ya want for nothing?".utf8), key: second))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  }

  /// HKDF for one block of output, from HMAC alone.
  private func hkdf(_ secret: [UInt8], salt: [UInt8], info: [UInt8]) throws -> [UInt8] {
    let extract = SymmetricKey(salt + [UInt8](repeating: 0, count: 32 - salt.count))
    let pseudorandom = SymmetricKey(try MessageCode.compute(secret, key: extract))
    return try MessageCode.compute(info + [1], key: pseudorandom)
  }

  @Test("keys are derived by HKDF-SHA256 as RFC 5869 has it")
  func derivation() throws {
    let output = try hkdf(
      [UInt8](repeating: 0x0B, count: 22), salt: [UInt8](0...12), info: [UInt8](0xF0...0xF9))
    #expect(
      BytesText.hexadecimal(output) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
    let key = try SymmetricKey.random()
    for (salt, info) in [([], "backupd"), (try Random.bytes(32), "backupd object pack"), ([1], "")] {
      #expect(
        try key.derive(salt: salt, info: info).reveal() == hkdf(key.reveal(), salt: salt, info: Array(info.utf8)))
    }
  }

  @Test("keys and secrets do not print")
  func redacted() throws {
    let key = SymmetricKey([UInt8](repeating: 0x41, count: 32))
    #expect("\(key)" == "<redacted>")
    #expect(String(reflecting: key).contains("65") == false)
    var dumped = ""
    dump(key, to: &dumped)
    #expect(!dumped.contains("65"))
  }

  @Test("fingerprints are the same for the same page and differ by a bit, a key and a place in no way")
  func fingerprints() throws {
    let (first, second) = (try SymmetricKey.random(), try SymmetricKey.random())
    let one = try PageFingerprinter(key1: first, key2: second)
    let again = try PageFingerprinter(key1: first, key2: second)
    let other = try PageFingerprinter(key1: second, key2: first)
    var pages = (0..<(3 * 8192)).map { _ in UInt8.random(in: 0...255) }
    pages.replaceSubrange(8192..<16384, with: pages[..<8192])
    func compute(_ fingerprinter: borrowing PageFingerprinter, _ pages: [UInt8]) throws -> [Fingerprint] {
      var output = [Fingerprint](repeating: Fingerprint(low: 0, high: 0), count: pages.count / 8192)
      try pages.withUnsafeBytes { pages in
        try output.withUnsafeMutableBufferPointer { try fingerprinter.fingerprint(pages, into: $0) }
      }
      return output
    }
    let found = try compute(one, pages)
    #expect(found[0] == found[1] && found[0] != found[2])
    #expect(try compute(again, pages) == found)
    #expect(try compute(one, Array(pages[16384...])) == [found[2]])
    #expect(try compute(other, pages)[0] != found[0])
    for byte in [0, 1, 4095, 8191] {
      var changed = Array(pages[..<8192])
      changed[byte] ^= 0x80
      #expect(try compute(one, changed)[0] != found[0])
    }
  }

  @Test("frames are expanded to what was compressed, and to nothing else")
  func compression() throws {
    let compressor = try ZstdCompressor(level: 1)
    let decompressor = try ZstdDecompressor()
    for count in [0, 1, 8192, 262_144] {
      let plain = (0..<count).map { UInt8(truncatingIfNeeded: $0 / 7) }
      var packed = [UInt8](repeating: 0, count: ZstdCompressor.bound(count))
      let length = try plain.withUnsafeBytes { plain in
        try packed.withUnsafeMutableBytes { try compressor.compress(plain, into: $0) }
      }
      func expand(_ bytes: [UInt8], count: Int) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: count)
        try bytes.withUnsafeBytes { bytes in
          try output.withUnsafeMutableBytes { try decompressor.expand(bytes, into: $0) }
        }
        return output
      }
      #expect(try expand(Array(packed[..<length]), count: count) == plain)
      #expect(throws: CompressionError.self) { try expand(Array(packed[..<length]), count: count + 1) }
      if count > 0 {
        #expect(throws: CompressionError.self) { try expand(Array(packed[..<length]), count: count - 1) }
        #expect(throws: CompressionError.self) { try expand(Array(packed[..<(length - 1)]), count: count) }
      }
      for _ in 0..<200 {
        _ = try? expand((0..<length).map { _ in UInt8.random(in: 0...255) }, count: count)
      }
    }
  }
}
