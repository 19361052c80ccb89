import BackupModel
import DaemonConfiguration
import JobState
import Logging
import MetricsExport
import Synchronization

/// Serves metrics at the address that the configuration names, until it names another.
final class MetricsListener: Sendable {
  private static let condition = "metrics-listener"

  private let board: MetricsBoard
  private let state: JobStateStore
  private let logger: Logger
  private let isServing = Mutex(false)
  private let addresses: AsyncStream<MetricsAddress?>
  private let addressInput: AsyncStream<MetricsAddress?>.Continuation

  init(board: MetricsBoard, state: JobStateStore, logger: Logger) {
    self.board = board
    self.state = state
    self.logger = logger
    (addresses, addressInput) = AsyncStream.makeStream(
      of: MetricsAddress?.self, bufferingPolicy: .bufferingNewest(1))
  }

  /// This address from now on; nil for none. One that could not be had is tried again.
  func apply(_ address: MetricsAddress?) { addressInput.yield(address) }

  /// Serves until cancelled.
  func run() async {
    var iterator = addresses.makeAsyncIterator()
    var wanted = await iterator.next()
    while let address = wanted {
      wanted = await withTaskGroup(of: Void.self) { group in
        if let address {
          group.addTask { await self.serve(address) }
        } else {
          logger.attempt { try state.resolve(Self.condition) }
        }
        var next = await iterator.next()
        while next == .some(address), isServing.withLock({ $0 }) { next = await iterator.next() }
        // Its end is waited for: the next may want the same port.
        group.cancelAll()
        return next
      }
    }
  }

  /// An address that is taken keeps nobody's backups from being made.
  private func serve(_ address: MetricsAddress) async {
    defer { isServing.withLock { $0 = false } }
    do {
      try await MetricsServer(.init(address.endpoint), board: board).run { _ in
        self.isServing.withLock { $0 = true }
        self.logger.attempt { try self.state.resolve(Self.condition) }
      }
    } catch is CancellationError {
      return
    } catch {
      let report = ErrorReport(error)
      logger.error("metrics are not served", metadata: ["error": "\(report)"])
      logger.attempt {
        try state.raise(Condition(id: Self.condition, severity: .warning, since: .now(), report: report))
      }
    }
  }
}
