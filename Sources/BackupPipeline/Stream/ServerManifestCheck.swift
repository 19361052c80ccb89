internal import BackupModel
internal import Repository

/// Compares what arrived with the manifest the server made while it sent: PostgreSQL writes one file a line.
///
/// - SeeAlso: PostgreSQL documentation, "Backup Manifest Format"; source, `backup_manifest.c`, `AddFileToBackupManifest`.
struct ServerManifestCheck {
  /// No line of a manifest comes near it: a path has 4096 bytes at most.
  static let longestLine = 1 << 20
  private var carry: [UInt8] = []
  private let cluster: ClusterID

  init(cluster: ClusterID) { self.cluster = cluster }

  /// Takes the next bytes of the manifest and calls `body` for each file in it.
  /// - Parameter body: Path, size, CRC-32C as the server computed it; nil where it says none.
  mutating func consume(
    _ bytes: UnsafeRawBufferPointer, _ body: (String, UInt64, UInt32?) throws -> Void
  ) throws {
    var rest = bytes[...]
    while let newline = rest.firstIndex(of: 0x0A) {
      carry.append(contentsOf: rest[rest.startIndex..<newline])
      rest = rest[(newline + 1)...]
      try line(body)
      carry.removeAll(keepingCapacity: true)
    }
    carry.append(contentsOf: rest)
    guard carry.count <= Self.longestLine else { throw malformed }
  }

  private var malformed: PipelineError {
    .serverManifestMalformed(cluster, line: String(decoding: carry.prefix(200), as: UTF8.self))
  }

  private func line(_ body: (String, UInt64, UInt32?) throws -> Void) throws {
    // Every other line: version, system identifier, WAL ranges, the manifest's own checksum.
    guard Self.position(after: Array("Path\"".utf8), in: carry) != nil else { return }
    guard let path = Self.path(in: carry), let size = Self.number(Array("\"Size\": ".utf8), in: carry) else {
      throw malformed
    }
    var checksum: UInt32?
    if let digits = Self.text(Array("\"Checksum\": \"".utf8), in: carry) {
      // The four bytes as they lie in memory: little-endian.
      guard digits.count == 8, let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else {
        throw malformed
      }
      checksum = value.byteSwapped
    }
    try body(path, size, checksum)
  }

  private static func path(in line: [UInt8]) -> String? {
    if let plain = text(Array("\"Path\": \"".utf8), in: line) { return unescaped(plain) }
    // Hexadecimal: a path that is not UTF-8.
    guard let encoded = text(Array("\"Encoded-Path\": \"".utf8), in: line), encoded.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: encoded.count, by: 2) {
      guard let byte = UInt8(String(decoding: encoded[index..<(index + 2)], as: UTF8.self), radix: 16) else {
        return nil
      }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Where a key's value begins. A quote within a path is escaped, so no path can contain a key.
  private static func position(after key: [UInt8], in line: [UInt8]) -> Int? {
    guard line.count >= key.count else { return nil }
    return line.withUnsafeBufferPointer { line in
      for start in 0...(line.count - key.count) where line[start] == key[0] {
        if line[start..<(start + key.count)].elementsEqual(key) { return start + key.count }
      }
      return nil
    }
  }

  /// The bytes of a string up to its closing quote, escapes as they are.
  private static func text(_ key: [UInt8], in line: [UInt8]) -> [UInt8]? {
    guard let start = position(after: key, in: line) else { return nil }
    var index = start
    while index < line.count {
      if line[index] == UInt8(ascii: "\"") { return Array(line[start..<index]) }
      index += line[index] == UInt8(ascii: "\\") ? 2 : 1
    }
    return nil
  }

  private static func number(_ key: [UInt8], in line: [UInt8]) -> UInt64? {
    guard let start = position(after: key, in: line) else { return nil }
    return UInt64(String(decoding: line[start...].prefix { (0x30...0x39).contains($0) }, as: UTF8.self))
  }

  /// - SeeAlso: PostgreSQL source, `json.c`, `escape_json`.
  private static func unescaped(_ text: [UInt8]) -> String? {
    var bytes: [UInt8] = []
    var index = 0
    while index < text.count {
      let byte = text[index]
      index += 1
      guard byte == UInt8(ascii: "\\") else {
        bytes.append(byte)
        continue
      }
      guard index < text.count else { return nil }
      switch text[index] {
      case UInt8(ascii: "b"): bytes.append(0x08)
      case UInt8(ascii: "f"): bytes.append(0x0C)
      case UInt8(ascii: "n"): bytes.append(0x0A)
      case UInt8(ascii: "r"): bytes.append(0x0D)
      case UInt8(ascii: "t"): bytes.append(0x09)
      case UInt8(ascii: "u"):
        // Control characters only: everything else is written as it is.
        guard index + 4 < text.count,
          let code = UInt8(String(decoding: text[(index + 1)...(index + 4)], as: UTF8.self), radix: 16)
        else { return nil }
        bytes.append(code)
        index += 4
      default: bytes.append(text[index])
      }
      index += 1
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
