import BackupModel
import BlockingWork
import ControlClient
import ControlProtocol

/// `status --watch`: the status anew every two seconds until interrupted, also while the daemon is away.
struct StatusWatch {
  static let pause = Duration.seconds(2)

  /// The daemon's last answer, which stays in sight while there is no newer one.
  private var last: (status: DaemonStatus, at: Timestamp)?
  private let time = LocalTime()
  private let isFull: Bool

  private init(isFull: Bool) { self.isFull = isFull }

  static func run(_ client: ControlClient, _ cancellation: Cancellation, isFull: Bool) throws {
    var watch = StatusWatch(isFull: isFull)
    do {
      if Output.canMoveCursor {
        try Screen.with { try watch.loop(client, cancellation) { Screen.draw($0.screen) } }
      } else {
        try watch.loop(client, cancellation) { Output.write($0.block) }
      }
    } catch is CancellationError {
      return
    }
  }

  private mutating func loop(
    _ client: ControlClient, _ cancellation: Cancellation, show: (Frame) -> Void
  ) throws {
    while true {
      var failure: ErrorReport?
      do {
        last = (try client.status(), .now())
      } catch ControlError.connectionForbidden(let path) {
        // Asking again does not change who is asking.
        throw ControlError.connectionForbidden(path: path)
      } catch let error as any OperatorError {
        failure = ErrorReport(error)
      }
      show(Frame(now: .now(), failure: failure, last: last, time: time, isFull: isFull))
      try cancellation.sleep(Self.pause)
    }
  }

  /// What is shown at one moment.
  struct Frame {
    var now: Timestamp
    /// Why there is no status; nil where there is one.
    var failure: ErrorReport?
    var last: (status: DaemonStatus, at: Timestamp)?
    var time: LocalTime
    var isFull: Bool

    /// For a screen that is drawn over: while the daemon is away the last status stays below the reason.
    var screen: String {
      var parts = ["backupctl status at \(time.text(now)), every 2 s until Ctrl-C".styled(.faint)]
      if let failure {
        parts.append(text(failure))
        parts.append(
          last.map { "Its last answer was \(LocalTime.relative($0.at, to: now)):" } ?? "It has not answered yet.")
      }
      if let last { parts.append(StatusText(last.status, isFull: isFull, now: now).text) }
      return parts.joined(separator: "\n\n")
    }

    /// For a file or a pipe: a block with its time.
    var block: String {
      let text = failure.map(text) ?? last.map { StatusText($0.status, isFull: isFull, now: now).text } ?? ""
      return "--- \(time.text(now))\n\(text)\n"
    }

    private func text(_ failure: ErrorReport) -> String {
      var lines = ["\("NO ANSWER".styled(.bad)) \(failure.summary); asking again"]
      if let detail = failure.detail { lines.append(ErrorOutput.labelled("DETAIL", detail)) }
      if let hint = failure.hint { lines.append(ErrorOutput.labelled("HINT", hint)) }
      return lines.joined(separator: "\n")
    }
  }
}
