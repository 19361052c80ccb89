internal import BackupModel

/// An entry of a directory as SFTP servers print it for people, which is all that libcurl passes on.
///
///     -rw-r-----    1 backup   backup       8192 Nov 26 12:57 manifest
///
/// - SeeAlso: draft-ietf-secsh-filexfer-02, 7, "longname".
struct SFTPEntry: Equatable {
  enum Kind { case file, directory }
  var kind: Kind
  var size: Int64
  var name: String

  /// Entries whose names could be ours: of letters and digits, without blanks, and no links.
  /// - Returns: Nil where a line has another form: then nobody knows what is there, and a part must not pass for the whole.
  static func parse(_ listing: [UInt8]) -> [SFTPEntry]? {
    var entries: [SFTPEntry] = []
    for line in listing.split(separator: 0x0A) {
      let words = line.split { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }.map { String(decoding: $0, as: UTF8.self) }
      // Names of users and groups may hold blanks, and so may those of files that are not ours: the date tells them apart.
      guard let end = dateEnd(words), let size = Int64(words[end - 4]), size >= 0 else { return nil }
      guard let kind = kind(words[0]), end == words.count - 1 else { continue }
      entries.append(SFTPEntry(kind: kind, size: size, name: words[end]))
    }
    return entries
  }

  private static func kind(_ mode: String) -> Kind? {
    switch mode.utf8.first {
    case UInt8(ascii: "-"): .file
    case UInt8(ascii: "d"): .directory
    default: nil
    }
  }

  /// Where the name begins: after a size, a month, a day, and a time or a year.
  private static func dateEnd(_ words: [String]) -> Int? {
    guard words.count >= 6, words[0].utf8.count >= 10 else { return nil }
    return (5..<words.count).first { index in
      isNumber(words[index - 4]) && months.contains(words[index - 3]) && isNumber(words[index - 2])
        && words[index - 2].utf8.count <= 2 && isTimeOrYear(words[index - 1])
    }
  }

  private static let months: Set = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  private static func isNumber(_ word: String) -> Bool {
    !word.isEmpty && word.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }

  private static func isTimeOrYear(_ word: String) -> Bool {
    let parts = word.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    return (1...2).contains(parts.count) && parts.allSatisfy(isNumber) && word.utf8.count <= 5
  }
}
