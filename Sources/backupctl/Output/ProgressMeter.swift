import BackupModel
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// How far work has come, on standard error: a bar with rate and time left on a terminal, a plain line every few
/// seconds elsewhere. May be told from any thread.
final class ProgressMeter: Sendable {
  private struct State {
    var phase = ""
    /// Where the rate is counted from.
    var since = ContinuousClock.now
    var doneAtStart: Int64 = 0
    var lastShown: ContinuousClock.Instant?
    var isBarShown = false
  }

  private let state = Mutex(State())
  private let isTerminal = Output.isTerminal(STDERR_FILENO)
  private var pause: Duration { isTerminal ? .milliseconds(100) : .seconds(5) }

  func update(_ progress: RunProgress) {
    let now = ContinuousClock.now
    state.withLock { state in
      let isNewPhase = state.phase != progress.phase
      if isNewPhase {
        state.phase = progress.phase
        state.since = now
        state.doneAtStart = progress.doneBytes.value
      }
      if !isNewPhase, let last = state.lastShown, now - last < pause { return }
      state.lastShown = now
      let seconds = (now - state.since).secondsValue
      let rate = seconds < 0.2 ? 0 : Double(progress.doneBytes.value - state.doneAtStart) / seconds
      if isTerminal {
        write("\r\u{1B}[2K" + Self.bar(progress, rate: rate, width: Output.width(STDERR_FILENO) ?? 80))
        state.isBarShown = true
      } else {
        write(Self.line(progress, rate: rate) + "\n")
      }
    }
  }

  /// Takes the bar away: what comes next begins on a line of its own.
  func finish() {
    state.withLock { state in
      if state.isBarShown { write("\r\u{1B}[2K") }
      state.isBarShown = false
    }
  }

  private func write(_ text: String) {
    ErrorOutput.write(text, terminator: "")
  }

  /// `copying files  42% of 3.0 GiB  210.0 MiB/s  8s left`.
  static func line(_ progress: RunProgress, rate: Double) -> String {
    ([progress.phase] + facts(progress, rate: rate)).joined(separator: "  ")
  }

  static func bar(_ progress: RunProgress, rate: Double, width: Int) -> String {
    let text = facts(progress, rate: rate).joined(separator: "  ")
    // As wide as it is at the beginning, whatever the numbers after it: rate and time left take up to 45 characters.
    let room = min(30, width - progress.phase.count - 50)
    guard let share = share(progress), room >= 5 else {
      return String(line(progress, rate: rate).prefix(max(0, width - 1)))
    }
    let filled = Int(share * Double(room))
    let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled)
    return "\(progress.phase)  [\(bar)]  \(text)"
  }

  private static func share(_ progress: RunProgress) -> Double? {
    guard let total = progress.totalBytes?.value, total > 0 else { return nil }
    return min(1, max(0, Double(progress.doneBytes.value) / Double(total)))
  }

  private static func facts(_ progress: RunProgress, rate: Double) -> [String] {
    var facts: [String] = []
    if let share = share(progress), let total = progress.totalBytes {
      facts.append("\(Int(share * 100))% of \(total)")
    } else if progress.doneBytes.value > 0 {
      facts.append("\(progress.doneBytes)")
    }
    guard rate >= 1 else { return facts }
    facts.append("\(ByteCount(Int64(rate)))/s")
    if let total = progress.totalBytes?.value, total > progress.doneBytes.value {
      let left = (Double(total - progress.doneBytes.value) / rate).rounded(.up)
      if left < 1e7 { facts.append("\(DurationText.format(.seconds(Int64(left)))) left") }
    }
    return facts
  }
}
