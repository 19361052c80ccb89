public import BackupModel

/// A program of PostgreSQL could not do its work.
public enum ProgramError: OperatorError {
  case missing(String, version: Int, searched: [String])
  /// `words` is what it wrote to standard error, the last lines of it.
  case failed(String, status: ProgramStatus, words: [String])

  public var summary: String {
    switch self {
    case .missing(let name, let version, _): "could not find \"\(name)\" of PostgreSQL \(version)"
    case .failed(let name, let status, let words):
      "\(name) " + (words.isEmpty ? status.text : "failed: \(Self.cause(words, of: name))")
    }
  }
  public var detail: String? {
    switch self {
    case .missing(_, _, let searched): "It is in none of \(searched.joined(separator: ", "))."
    case .failed(let name, let status, let words):
      words.isEmpty
        ? "It said nothing."
        : "It \(status.text). It said: \(words.suffix(8).joined(separator: " / "))"
          + (words.count > 8 ? " (the last of \(words.count) lines of \(name))" : "")
    }
  }
  public var hint: String? {
    switch self {
    case .missing(_, let version, _):
      "Install the client programs of PostgreSQL \(version), or set BACKUPD_POSTGRES_BIN_\(version) to their directory."
    case .failed: nil
    }
  }

  /// The first line that speaks of an error, without the program's name before it.
  private static func cause(_ words: [String], of name: String) -> String {
    let line = words.first { $0.contains("error:") } ?? words[0]
    return line.firstRange(of: "error: ").map { String(line[$0.upperBound...]) } ?? line
  }
}

/// How a program ended.
public enum ProgramStatus: Sendable, Hashable {
  case exited(Int32)
  case signalled(Int32)

  init(wait status: Int32) {
    let signal = status & 0x7F
    self = signal == 0 ? .exited(status >> 8 & 0xFF) : .signalled(signal)
  }

  public var isSuccess: Bool { self == .exited(0) }
  public var text: String {
    switch self {
    case .exited(let code): "ended with exit status \(code)"
    case .signalled(let number): "was ended by signal \(number)"
    }
  }
}
