internal import BackupModel
public import BlockingWork
internal import Postgres

/// What time a server thinks it is.
public enum ServerClock {
  /// How far this host's clock is ahead of the server's.
  /// - Parameter connection: libpq's.
  /// - Throws: What connecting does; `CancellationError`.
  public static func difference(to connection: String, cancellation: Cancellation) throws -> Duration {
    let connection = try Connection(connection, applicationName: "backupd prune", cancellation: cancellation)
    defer { connection.close() }
    let server = try connection.serverTime()
    return Timestamp.now() - server
  }
}
