import BackupModel
import BlockingWork
import Synchronization
import TestSupport

@testable import Postgres

/// Connections of the kinds the tests need.
enum Sessions {
  static func sql(
    _ conninfo: String, cancellation: Cancellation = Cancellation(),
    observeNotice: @escaping @Sendable (ServerMessage) -> Void = { _ in }
  ) throws -> Connection {
    try Connection(
      conninfo, applicationName: "backupd-test", cancellation: cancellation, observeNotice: observeNotice)
  }

  static func replication(
    _ conninfo: String, cancellation: Cancellation = Cancellation()
  ) throws -> ReplicationConnection {
    try ReplicationConnection(conninfo, applicationName: "backupd-test", cancellation: cancellation)
  }
}

/// Values that a callback collects.
final class Collected<Element: Sendable>: Sendable {
  private let state = Mutex<[Element]>([])
  func add(_ element: Element) { state.withLock { $0.append(element) } }
  var elements: [Element] { state.withLock { $0 } }
}

/// The error a piece of code throws; nil where it throws another kind or none.
func postgresError(_ body: () throws -> Void) -> PostgresError? {
  do {
    try body()
    return nil
  } catch {
    return error as? PostgresError
  }
}
