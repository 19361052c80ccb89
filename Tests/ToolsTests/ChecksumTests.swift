import Foundation
import TestSupport
import Testing

@testable import Checksums
@testable import Cryptography

@Suite("Checksums") struct ChecksumTests {
  @Test(
    "CRC-32C gives the values of RFC 3720",
    arguments: [
      ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
      ([UInt8](0..<32), 0x46DD_794E), (Array("123456789".utf8), 0xE306_9283), ([UInt8](), 0),
    ] as [([UInt8], UInt32)])
  func knownValues(bytes: [UInt8], expected: UInt32) {
    #expect(bytes.withUnsafeBytes { CRC32C.checksum($0) } == expected)
  }

  @Test("CRC-32C is the same for every length and alignment, at once, in pieces and byte by byte")
  func everyLength() {
    // Beyond 3 x 2728 bytes three runs are computed at once.
    let bytes = (0..<20_000).map { _ in UInt8.random(in: 0...255) }
    bytes.withUnsafeBytes { all in
      for length in Array(0...300) + [8183, 8184, 8185, 8192, 16_367, 16_368, 16_369, 19_990] {
        let start = length % 9
        let slice = UnsafeRawBufferPointer(rebasing: all[start..<(start + length)])
        var bytewise = CRC32C()
        bytewise.updateBytewise(slice)
        var pieces = CRC32C()
        pieces.update(UnsafeRawBufferPointer(rebasing: slice[..<(length / 3)]))
        pieces.update(UnsafeRawBufferPointer(rebasing: slice[(length / 3)...]))
        #expect(CRC32C.checksum(slice) == bytewise.value, "length \(length)")
        #expect(pieces.value == bytewise.value, "length \(length)")
      }
    }
  }

  @Test("page sums are the same with and without AVX2")
  func sameSums() {
    for _ in 0..<200 {
      let page = (0..<8192).map { _ in UInt8.random(in: 0...255) }
      let block = UInt32.random(in: 0 ... .max)
      page.withUnsafeBytes {
        #expect(
          PageChecksum.compute($0, block: block, withAVX2: true)
            == PageChecksum.compute($0, block: block, withAVX2: false))
      }
    }
  }

  @Test("every page of a real cluster fits, and none with a flipped bit", arguments: [15, 18])
  func realPages(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.psql("create table t as select i, repeat('x', 100) from generate_series(1, 5000) i; vacuum t")
      try server.stop()
      var pages = 0
      for path in try relationFiles(server.dataDirectory) {
        let content = try Data(contentsOf: URL(fileURLWithPath: path))
        for block in 0..<(content.count / 8192) {
          var page = Array(content[(block * 8192)..<((block + 1) * 8192)])
          let verdict = page.withUnsafeBytes { PageChecksum.verify($0, block: UInt32(block), start: .max) }
          #expect(verdict == .fits || verdict == .new, "\(path) block \(block)")
          guard verdict == .fits else { continue }
          pages += 1
          #expect(page.withUnsafeBytes { PageChecksum.verify($0, block: UInt32(block) ^ 1, start: .max) } == .differs)
          let bit = Int.random(in: (24 * 8)..<(8192 * 8))
          page[bit / 8] ^= 1 << UInt8(bit % 8)
          #expect(page.withUnsafeBytes { PageChecksum.verify($0, block: UInt32(block), start: .max) } == .differs)
          #expect(page.withUnsafeBytes { PageChecksum.verify($0, block: UInt32(block), start: 0) } == .newer)
        }
      }
      #expect(pages > 1500)
    }
  }

  private func relationFiles(_ directory: String) throws -> [String] {
    try ["base/1", "base/5", "global"].flatMap { part in
      try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(part)")
        .filter { $0.first?.isNumber == true }.map { "\(directory)/\(part)/\($0)" }
    }
  }
}
