/// What extended headers say about members: pax records and GNU's long names.
struct TarOverrides {
  var path: [UInt8]?
  var linkPath: [UInt8]?
  var size: Int64?
  var modified: Int64?
  var user: Int64?
  var group: Int64?

  /// These, and below them what `general` says.
  func over(_ general: TarOverrides) -> TarOverrides {
    TarOverrides(
      path: path ?? general.path, linkPath: linkPath ?? general.linkPath, size: size ?? general.size,
      modified: modified ?? general.modified, user: user ?? general.user, group: group ?? general.group)
  }

  /// Takes in records of the form `<length> <key>=<value>\n`.
  /// - Returns: What is wrong with them; nil where nothing is.
  /// - SeeAlso: POSIX, `pax`, "pax Extended Header".
  mutating func read(paxRecords records: [UInt8]) -> String? {
    var rest = records[...]
    while !rest.isEmpty {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      guard (1...9).contains(digits.count), let length = Int(String(decoding: digits, as: UTF8.self)),
        length > digits.count + 1, length <= rest.count, rest[rest.startIndex + digits.count] == 0x20,
        rest[rest.startIndex + length - 1] == 0x0A
      else { return "A record of its extended header has a wrong length." }
      let record = rest[(rest.startIndex + digits.count + 1)..<(rest.startIndex + length - 1)]
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
        return "A record of its extended header lacks a value."
      }
      let key = String(decoding: record[..<equals], as: UTF8.self)
      if let wrong = set(key, Array(record[(equals + 1)...])) { return wrong }
      rest = rest[(rest.startIndex + length)...]
    }
    return nil
  }

  private mutating func set(_ key: String, _ value: [UInt8]) -> String? {
    switch key {
    case "path": path = value
    case "linkpath": linkPath = value
    case "size", "mtime", "uid", "gid":
      // Times have decimals; whole seconds are what the other header carries, too.
      let whole = String(decoding: value.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self)
      guard let number = Int64(whole) else { return "The \"\(key)\" of its extended header is not a number." }
      switch key {
      case "size": size = number
      case "mtime": modified = number
      case "uid": user = number
      default: group = number
      }
    case _ where key.hasPrefix("GNU.sparse."): return "It is a sparse file in GNU's format."
    default: break
    }
    return nil
  }
}
