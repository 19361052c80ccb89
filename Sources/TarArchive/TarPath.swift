/// Paths that stay inside the archive.
enum TarPath {
  /// The path without `.` and empty components; nil where it is empty, absolute, not UTF-8 or has `..` in it.
  static func normalized(_ bytes: [UInt8]) -> String? {
    guard !bytes.isEmpty, bytes[0] != UInt8(ascii: "/"), let text = decoded(bytes) else { return nil }
    var parts: [Substring.UTF8View] = []
    for part in text.utf8.split(separator: UInt8(ascii: "/")) {
      if part.elementsEqual(".".utf8) { continue }
      if part.elementsEqual("..".utf8) { return nil }
      parts.append(part)
    }
    return parts.isEmpty ? "." : parts.map { String(Substring($0)) }.joined(separator: "/")
  }

  /// Nil where the bytes are not UTF-8 or hold a NUL.
  static func decoded(_ bytes: [UInt8]) -> String? {
    bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
  }
}
