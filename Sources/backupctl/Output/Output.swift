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
  static func width(_ descriptor: CInt = STDOUT_FILENO) -> Int? {
    guard isTerminal(descriptor) else { return nil }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 20 else { return 80 }
    return Int(size.ws_col)
  }

  /// Colours only for people, and not for those who said no.
  /// - SeeAlso: https://no-color.org
  static let hasColours: Bool =
    isTerminal(STDOUT_FILENO) && environment("NO_COLOR") == nil && environment("TERM") != "dumb"

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

  /// The argument parser's message: what is wrong, how it is written, where there is more.
  static func printUsage(_ message: String) {
    let text = message.hasPrefix("Error: ") ? String(message.dropFirst(7)) : message
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    write("backupctl: " + lines[0])
    for line in lines.dropFirst() where !line.isEmpty { write(line.hasPrefix("  ") ? String(line) : "  " + line) }
  }

  static func labelled(_ label: String, _ text: String, indent: Int = 2) -> String {
    let margin = String(repeating: " ", count: indent)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let rest = String(repeating: " ", count: indent + label.count + 2)
    return margin + label + ": " + lines.joined(separator: "\n" + rest)
  }
}
