import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// The terminal's second screen, for what is drawn over and over: what stood on the first is there again afterwards.
enum Screen {
  private static let isEntered = Mutex(false)

  /// Runs `body` on the second screen, and comes back from it however `body` ends.
  static func with<Result>(_ body: () throws -> Result) rethrows -> Result {
    let stopping = leavingWhileStopped()
    enter()
    defer {
      for source in stopping { source.cancel() }
      leave()
      signal(SIGTSTP, SIG_DFL)
    }
    return try body()
  }

  /// Shows a text from the top; lines that are not there any more vanish, and nothing flickers.
  static func draw(_ text: String) {
    let size = Output.size() ?? (80, 24)
    let fitting = fitting(text, columns: size.columns, rows: size.rows)
    let lines = fitting.split(separator: "\n", omittingEmptySubsequences: false)
    isEntered.withLock { isEntered in
      if isEntered { write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J") }
    }
  }

  /// Shows the first screen again. May be called where it is shown already.
  static func leave() {
    isEntered.withLock { isEntered in
      if isEntered { write("\u{1B}[?25h\u{1B}[?1049l") }
      isEntered = false
    }
  }

  private static func enter() {
    isEntered.withLock { isEntered in
      if !isEntered { write("\u{1B}[?1049h\u{1B}[?25l") }
      isEntered = true
    }
  }

  /// Ctrl-Z gives the shell its screen until the program goes on.
  private static func leavingWhileStopped() -> [any DispatchSourceSignal] {
    signal(SIGTSTP, SIG_IGN)
    let queue = DispatchQueue(label: "io.backupd.screen")
    let handlers: [(CInt, @Sendable () -> Void)] = [
      (
        SIGTSTP,
        {
          leave()
          kill(getpid(), SIGSTOP)
        }
      ),
      (SIGCONT, { enter() }),
    ]
    return handlers.map { number, handler in
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler(handler: handler)
      source.resume()
      return source
    }
  }

  private static func write(_ text: String) {
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress! + written, bytes.count - written) }
      if count < 0 && errno == EINTR { continue }
      // A terminal that is gone: SIGHUP is on its way.
      guard count > 0 else { return }
      written += count
    }
  }

  /// As much of a text as a screen shows, the last line telling how much there is beyond it.
  static func fitting(_ text: String, columns: Int, rows: Int) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let heights = lines.map { max(1, (visibleCount($0) + columns - 1) / columns) }
    guard heights.reduce(0, +) > rows else { return text }
    var shown = 0
    var used = 0
    while shown < lines.count, used + heights[shown] < rows {
      used += heights[shown]
      shown += 1
    }
    let left = lines.count - shown
    return (lines.prefix(shown) + ["… \(left) more line\(left == 1 ? "" : "s")"]).joined(separator: "\n")
  }

  /// Characters that take room: colours do not.
  private static func visibleCount(_ line: String) -> Int {
    var count = 0
    var isEscape = false
    for character in line {
      if isEscape {
        isEscape = character != "m"
      } else if character == "\u{1B}" {
        isEscape = true
      } else {
        count += 1
      }
    }
    return count
  }
}
