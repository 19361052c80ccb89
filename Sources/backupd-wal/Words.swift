#if canImport(Glibc)
  import Glibc
#endif

func tell(_ text: String) {
  let bytes = Array(text.utf8)
  _ = write(STDERR_FILENO, bytes, bytes.count)
}

func complain(_ summary: String, detail: String? = nil, hint: String? = nil) {
  var text = "backupd-wal: \(summary)\n"
  if let detail { text += "  DETAIL: \(detail)\n" }
  if let hint { text += "  HINT: \(hint)\n" }
  tell(text)
}

/// What the system says of the last error.
func systemReason() -> String { String(cString: strerror(errno)) + "." }

/// Options with values and the words between them.
struct Arguments {
  private(set) var options: [String: String] = [:]
  private(set) var words: [String] = []

  /// - Returns: Nil where they are not what `known` allows; it has been told.
  init?(_ arguments: ArraySlice<String>, known: [String], words count: Int) {
    var rest = arguments
    while let word = rest.popFirst() {
      guard word.hasPrefix("--") else {
        words.append(word)
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      guard known.contains(parts[0]) else {
        complain("there is no option \"\(parts[0])\"")
        return nil
      }
      guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
        complain("\"\(word)\" needs a value")
        return nil
      }
      options[parts[0]] = value
    }
    guard words.count == count else {
      complain("expected \(count) argument\(count == 1 ? "" : "s"), found \(words.count)")
      return nil
    }
  }
}
