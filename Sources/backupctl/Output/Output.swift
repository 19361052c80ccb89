import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// Standard output and what is known about it.
enum Output {
  static func write(_ text: String) {
    print(text)
    fflush(nil)
  }

  static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

  /// Characters in a line; nil where it is not a terminal, and lines may be as long as they like.
  static func width(_ descriptor: CInt = STDOUT_FILENO) -> Int? { size(descriptor)?.columns }

  /// The terminal's size; nil where it is not a terminal. `COLUMNS` and `LINES`, where set, are what the operator wants.
  static func size(_ descriptor: CInt = STDOUT_FILENO) -> (columns: Int, rows: Int)? {
    guard isTerminal(descriptor) else { return nil }
    var size = winsize()
    let isKnown = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0
    return (
      wanted("COLUMNS", atLeast: 20) ?? (isKnown && size.ws_col >= 20 ? Int(size.ws_col) : 80),
      wanted("LINES", atLeast: 5) ?? (isKnown && size.ws_row >= 5 ? Int(size.ws_row) : 24)
    )
  }

  private static func wanted(_ name: String, atLeast least: Int) -> Int? {
    environment(name).flatMap { Int($0) }.flatMap { $0 >= least ? $0 : nil }
  }

  /// Colours only for people, and not for those who said no.
  /// - SeeAlso: https://no-color.org
  static let hasColours: Bool = canMoveCursor && environment("NO_COLOR") == nil

  /// Whether standard output is a terminal that understands more than text.
  static let canMoveCursor: Bool = isTerminal(STDOUT_FILENO) && environment("TERM") != "dumb"

  private static func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }
}

/// Standard error: `backupctl: summary`, then detail and hint.
enum ErrorOutput {
  static func write(_ text: String, terminator: String = "\n") {
    let bytes = Array((text + terminator).utf8)
    _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
  }

  static func print(_ report: ErrorReport) {
    write("backupctl: " + report.summary)
    if let detail = report.detail { write(labelled("DETAIL", detail)) }
    if let hint = report.hint { write(labelled("HINT", hint)) }
  }

  static func warn(_ text: String, hint: String? = nil) {
    write("backupctl: warning: " + text)
    if let hint { write(labelled("HINT", hint)) }
  }

  static func labelled(_ label: String, _ text: String, indent: Int = 2) -> String {
    let margin = String(repeating: " ", count: indent)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let rest = String(repeating: " ", count: indent + label.count + 2)
    return margin + label + ": " + lines.joined(separator: "\n" + rest)
  }
}
