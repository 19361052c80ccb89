internal import BackupModel
internal import Repository

/// Compares what arrived with the manifest the server made while it sent: PostgreSQL writes one file a line.
///
/// - SeeAlso: PostgreSQL documentation, "Backup Manifest Format".
struct ServerManifestCheck {
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
  }

  private func line(_ body: (String, UInt64, UInt32?) throws -> Void) throws {
    let text = String(decoding: carry, as: UTF8.self)
    guard let path = Self.path(in: text) else {
      // Every other line: version, system identifier, WAL ranges, the manifest's own checksum.
      if text.contains("Path\"") { throw PipelineError.serverManifestMalformed(cluster, line: text) }
      return
    }
    guard let size = Self.value(of: "Size", in: text).flatMap({ UInt64($0) }) else {
      throw PipelineError.serverManifestMalformed(cluster, line: text)
    }
    var checksum: UInt32?
    if let digits = Self.value(of: "Checksum", in: text) {
      // The four bytes as they lie in memory: little-endian.
      guard digits.count == 8, let value = UInt32(digits, radix: 16) else {
        throw PipelineError.serverManifestMalformed(cluster, line: text)
      }
      checksum = value.byteSwapped
    }
    try body(path, size, checksum)
  }

  private static func path(in line: String) -> String? {
    if let plain = value(of: "Path", in: line) { return unescape(plain) }
    guard let encoded = value(of: "Encoded-Path", in: line), encoded.utf8.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    var digits = Substring(encoded)
    while !digits.isEmpty {
      guard let byte = UInt8(digits.prefix(2), radix: 16) else { return nil }
      bytes.append(byte)
      digits = digits.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The value of a key on a line, without quotes.
  private static func value(of key: String, in line: String) -> String? {
    guard let range = line.firstRange(of: "\"\(key)\": ") else { return nil }
    let rest = line[range.upperBound...]
    if rest.first == "\"" {
      var value = ""
      var escaped = false
      for character in rest.dropFirst() {
        if character == "\"" && !escaped { return value }
        escaped = character == "\\" && !escaped
        value.append(character)
      }
      return nil
    }
    return String(rest.prefix { $0.isNumber })
  }

  /// JSON's escapes as PostgreSQL writes them in paths: backslash and quote.
  private static func unescape(_ text: String) -> String {
    text.replacing("\\\"", with: "\"").replacing("\\\\", with: "\\")
  }
}
