internal import BackupModel
internal import Cryptography
internal import Repository

/// A backup manifest as PostgreSQL writes it, so that `pg_verifybackup` accepts the restored directory.
///
/// - SeeAlso: PostgreSQL documentation, "Backup Manifest Format"; source, `backup_manifest.c`.
final class BackupManifestText {
  private let hasher: SHA256Hasher
  private var isFirst = true

  /// - Throws: `CryptographyError`.
  init() throws { hasher = try SHA256Hasher() }

  /// Version 2, from PostgreSQL 17 on, has the system identifier.
  func begin(
    majorVersion: Int, systemIdentifier: SystemIdentifier, _ write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var text = "{ \"PostgreSQL-Backup-Manifest-Version\": \(majorVersion >= 17 ? 2 : 1),\n"
    if majorVersion >= 17 { text += "\"System-Identifier\": \(systemIdentifier),\n" }
    try emit(text + "\"Files\": [", write)
  }

  func add(_ file: ManifestFile, _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    let modified = Timestamp(seconds: file.modified).description.replacing("T", with: " ").replacing("Z", with: " GMT")
    // The four bytes as they lie in memory.
    let checksum = Hexadecimal.padded(UInt64(file.checksum.byteSwapped), digits: 8)
    let line =
      "\(isFirst ? "\n" : ",\n"){ \"Path\": \(Self.quoted(file.path)), \"Size\": \(file.size), \"Last-Modified\": \"\(modified)\", "
      + "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"\(checksum)\" }"
    isFirst = false
    try emit(line, write)
  }

  func end(
    timeline: TimelineID, start: LSN, stop: LSN, _ write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try emit(
      "\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": \(timeline), \"Start-LSN\": \"\(start)\", \"End-LSN\": \"\(stop)\" }\n],\n",
      write)
    // Over everything before its own line.
    let digest = BytesText.hexadecimal(try hasher.finish())
    try Array("\"Manifest-Checksum\": \"\(digest)\"}\n".utf8).withUnsafeBytes(write)
  }

  private func emit(_ text: String, _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    try Array(text.utf8).withUnsafeBytes { bytes in
      try hasher.update(bytes)
      try write(bytes)
    }
  }

  /// A JSON string.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<"\u{20}": result += "\\u" + Hexadecimal.padded(UInt64(scalar.value), digits: 4)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
