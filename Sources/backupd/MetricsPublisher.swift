import BackupModel
import BlockingWork
import DaemonConfiguration
import DurableFiles
import Glibc
import JobState
import Logging
import MetricsExport

/// Writes metrics where the configuration says, again and again: the text file, and what the listener hands out.
struct MetricsPublisher {
  /// What the listener hands out is at most so old.
  private static let freshness: Duration = .seconds(10)
  private static let condition = "metrics-textfile"

  let control: DaemonControl
  let board: MetricsBoard
  private let lane = Lane(label: "monitoring.metrics")

  init(_ control: DaemonControl, board: MetricsBoard) {
    self.control = control
    self.board = board
  }

  func run() async {
    var written: ContinuousClock.Instant?
    while !Task.isCancelled {
      let settings = control.configuration.value.metrics
      let isDue = settings.textFile != nil && written.map { .now - $0 >= settings.interval } ?? true
      if isDue || board.isAskedFor {
        let text = await control.metrics()
        board.set(text)
        if isDue, let path = settings.textFile {
          await write(text, to: path)
          written = .now
        }
      }
      if settings.textFile == nil { control.logger.attempt { try control.state.resolve(Self.condition) } }
      // Ends early only by cancellation, which the loop looks for itself.
      try? await Task.sleep(for: min(settings.interval, Self.freshness))
    }
  }

  private func write(_ text: String, to path: String) async {
    do {
      try await lane.run { _ in try MetricsTextFile.write(text, to: path) }
      if try control.state.resolve(Self.condition) != nil { control.logger.notice("metrics are written again") }
    } catch is CancellationError {
      return
    } catch {
      var report = ErrorReport(error)
      report.hint = report.hint ?? "See that the directory is there and may be written to: \"textfile\" of \"metrics\"."
      let condition = Condition(id: Self.condition, severity: .warning, since: .now(), report: report)
      control.logger.attempt {
        if try control.state.raise(condition) {
          control.logger.error("metrics not written", metadata: ["error": "\(report)"])
        }
      }
    }
  }
}

/// A file that is there completely or not at all, and that everybody may read.
enum MetricsTextFile {
  /// Not fsynced: after a power loss it is written anew, and nobody needs the old one.
  /// - Throws: `FileError`.
  static func write(_ text: String, to path: String) throws {
    // The collector reads names that end in .prom, so not this one.
    let temporary = path + ".tmp"
    do {
      let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
      // Whatever the umask says: the collector runs as somebody else.
      guard fchmod(file.number, 0o644) == 0 else { throw FileError.last("set the mode of", temporary) }
      try Array(text.utf8).withUnsafeBytes { try file.writeAll($0) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      let error = FileError.last("rename into place", path)
      unlink(temporary)
      throw error
    }
  }
}

extension MetricsAddress {
  /// In the words of the listener.
  var endpoint: MetricsEndpoint {
    switch self {
    case .loopback(let port): .loopback(port: port)
    case .loopback6(let port): .loopback6(port: port)
    case .unix(let path): .unix(path: path)
    }
  }
}
