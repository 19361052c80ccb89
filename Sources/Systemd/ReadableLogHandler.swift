internal import BackupModel
public import Logging

#if canImport(Glibc)
  import Glibc
#endif

/// Writes log messages for people: `2026-11-02T03:00:00.123456Z info backup began job=nightly`.
public struct ReadableLogHandler: LogHandler {
  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level = .info
  public var metadataProvider: Logger.MetadataProvider?
  private let colours: Colours
  private let write: @Sendable (String) -> Void

  /// Whether levels are coloured.
  public enum Colours: Sendable { case never, always, onTerminal }

  /// - Parameter write: Takes one whole entry with its line end; standard error unless a test reads.
  public init(colours: Colours = .onTerminal, write: @escaping @Sendable (String) -> Void = { Self.standardError($0) })
  {
    self.colours = colours == .onTerminal ? (isatty(STDERR_FILENO) == 1 ? .always : .never) : colours
    self.write = write
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    let facts = MetadataText.merged(metadata, metadataProvider, event).filter { $0.key != "messageID" }
    let line = MetadataText.line(message: "\(event.message)", facts: facts)
    write("\(Timestamp.now()) \(level(event.level)) \(line)\n")
  }

  private func level(_ level: Logger.Level) -> String {
    guard case .always = colours else { return level.rawValue }
    switch level {
    case .critical, .error: return "\u{1B}[31m\(level.rawValue)\u{1B}[0m"
    case .warning: return "\u{1B}[33m\(level.rawValue)\u{1B}[0m"
    default: return level.rawValue
    }
  }

  /// One `write` per entry, so that lines of several threads do not mix.
  public static func standardError(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      // Where standard error is gone there is nobody to tell.
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}

/// Which handler a program of ours logs with.
public enum LogDestination: Sendable, Hashable {
  case journal, standardError

  /// The journal where standard error leads there anyway, standard error otherwise.
  public static func detect(environment: [String: String]) -> LogDestination {
    JournalSocket.isStandardError(environment["JOURNAL_STREAM"]) ? .journal : .standardError
  }

  /// - Parameter identifier: The program's name in the journal.
  public func handler(identifier: String, level: Logger.Level = .info) -> any LogHandler {
    var handler: any LogHandler
    switch self {
    case .journal: handler = JournalLogHandler(identifier: identifier)
    case .standardError: handler = ReadableLogHandler()
    }
    handler.logLevel = level
    return handler
  }
}
