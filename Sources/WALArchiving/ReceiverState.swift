internal import BackupModel
internal import BlockingWork
import Synchronization

/// What the receiver's thread shows to others.
final class ReceiverState: Sendable {
  struct Values {
    var phase = "connecting"
    var systemIdentifier: SystemIdentifier?
    var timeline: TimelineID?
    /// First byte of the run of WAL that is held without a hole.
    var heldFrom: WALPosition?
    var received: LSN?
    var flushed: LSN?
    var serverEnd: LSN?
    var lastMessage: Timestamp?
    var bytesPerSecond: Double?
    var commitsWait: Bool?
    var losesNothing: Bool?
    /// Whether the server is on this host; nil until it was asked.
    var isServerHere: Bool?
    var error: ErrorReport?
  }
  private let values = Mutex(Values())
  let changed: Signal

  /// Beats while the stream is read.
  let heartbeat = Heartbeat()

  init(changed: Signal) { self.changed = changed }

  func look() -> Values { values.withLock { $0 } }

  func change(_ body: (inout sending Values) -> Void) {
    values.withLock { body(&$0) }
    changed.raise()
  }

  func heard(serverEnd: LSN, received: LSN) {
    values.withLock {
      $0.serverEnd = serverEnd
      $0.received = received
      $0.lastMessage = .now()
    }
  }

  func flushed(_ lsn: LSN) {
    let isFirst = values.withLock { values -> Bool in
      defer {
        values.flushed = max(lsn, values.flushed ?? lsn)
        values.phase = "streaming"
        values.error = nil
      }
      return values.phase != "streaming"
    }
    if isFirst { changed.raise() }
  }
}
