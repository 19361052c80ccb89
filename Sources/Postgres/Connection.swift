internal import BackupModel
public import BlockingWork
internal import CLibPQ

#if canImport(Glibc)
  import Glibc
#endif

/// One connection to a server, for code that may block. Every wait watches the socket and ``cancellation``.
///
/// A cancelled call asks the server to stop, closes the connection and throws `CancellationError`. Looking up a host
/// name is the one thing that cannot be interrupted: libpq does it in one piece.
///
/// - Note: `@unchecked Sendable`: used by one thread at a time, it may be handed from one to another. libpq's manual,
///   "Behavior in Threaded Programs": "libpq is reentrant and thread-safe … no two threads attempt to manipulate the
///   same PGconn object at the same time."
public final class Connection: @unchecked Sendable {
  /// What the connection is for: SQL, or the commands of the (physical) replication protocol.
  public enum Purpose: Sendable, Hashable { case sql, replication }

  public let purpose: Purpose
  /// Where it leads; for messages.
  public let address: ServerAddress
  /// Watched by every call that follows. Set it before using a connection on another lane.
  public var cancellation: Cancellation
  var handle: OpaquePointer?
  private let cancelHandle: OpaquePointer?
  private let notices: NoticeSink

  /// Connects and logs in.
  ///
  /// - Parameters:
  ///   - conninfo: What libpq accepts: `key=value …` or an address. Its `connect_timeout` (default 10 s) holds for each
  ///     host named; its application name and encoding are overruled. `.replication` looks for the password file's
  ///     database `replication`.
  ///   - applicationName: Seen in `pg_stat_activity`, and what `synchronous_standby_names` is compared with.
  ///   - observeNotice: Called on the connection's thread, in the middle of other calls.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public init(
    _ conninfo: String, purpose: Purpose = .sql, applicationName: String, cancellation: Cancellation,
    observeNotice: @escaping @Sendable (ServerMessage) -> Void = { _ in }
  ) throws {
    let options = try ConnectOptions(conninfo, purpose: purpose, applicationName: applicationName)
    notices = NoticeSink(observeNotice)
    let handle = try Self.open(options, purpose, cancellation, notices)
    self.handle = handle
    self.purpose = purpose
    self.cancellation = cancellation
    address = ServerAddress(handle: handle)
    cancelHandle = PQgetCancel(handle)
    PQsetnonblocking(handle, 1)
    // Commands and result sets differ before 15, so nothing else is tried with such a server.
    let version = Int(PQserverVersion(handle))
    guard version >= 150_000 else {
      throw PostgresError.versionTooOld(address, version: "\(version / 10000)")
    }
    if purpose == .sql {
      // A held session must not be ended by limits meant for applications.
      _ = try query(
        """
        SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
        SET idle_session_timeout = 0
        """)
    }
  }

  deinit {
    close()
    if let cancelHandle { PQfreeCancel(cancelHandle) }
  }

  /// The server's version as a number: 150020 is 15.20.
  public var serverVersion: Int { handle.map { Int(PQserverVersion($0)) } ?? 0 }

  /// False once closed, cancelled or lost.
  public var isOpen: Bool { handle.map { PQstatus($0) == CONNECTION_OK } ?? false }

  /// Logs out. May be called twice.
  public func close() {
    guard let handle else { return }
    self.handle = nil
    PQfinish(handle)
  }

  /// Ends a command in the middle: asks the server to stop it and closes the connection.
  func abandon() {
    guard let handle else { return }
    if let cancelHandle, PQstatus(handle) == CONNECTION_OK, PQtransactionStatus(handle) == PQTRANS_ACTIVE {
      CancelRequest.send(cancelHandle, to: PQsocket(handle))
    }
    close()
  }

  /// Runs SQL and returns the last result set.
  ///
  /// - Parameters:
  ///   - sql: Several statements are allowed where there are no parameters.
  ///   - parameters: For `$1`, `$2`, …, as text; nil is NULL.
  ///   - action: Completes "could not …" up to the server's name, for errors.
  /// - Throws: ``PostgresError``, `CancellationError`.
  @discardableResult
  public func query(
    _ sql: String, _ parameters: [String?] = [], while action: String = "query"
  ) throws -> QueryResult {
    try send(sql, parameters, while: action)
    return QueryResult(try lastResult(while: action, slot: nil))
  }

  /// Runs one command of the replication protocol, which knows no parameters.
  func command(_ text: String, while action: String, slot: String? = nil) throws -> ServerResult {
    try send(text, [], while: action)
    return try lastResult(while: action, slot: slot)
  }

  func lost(while action: String) -> PostgresError {
    let text = handle.flatMap { PQerrorMessage($0) }.map { String(cString: $0) } ?? "The connection is closed."
    return .connectionLost(address, while: action, reason: ConnectFailure(text).reason)
  }

  func protocolViolation(_ reason: String) -> PostgresError {
    abandon()
    return .protocolViolation(reason, address)
  }
}

extension ServerAddress {
  init(handle: OpaquePointer) {
    func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
    self.init(
      host: text(PQhost(handle)), port: text(PQport(handle)), user: text(PQuser(handle)), database: text(PQdb(handle)))
  }
}

/// Carries notices from libpq to a Swift closure. libpq would print them to standard error.
final class NoticeSink {
  let observe: @Sendable (ServerMessage) -> Void
  init(_ observe: @escaping @Sendable (ServerMessage) -> Void) { self.observe = observe }

  /// The sink must outlive the connection: libpq keeps the bare pointer.
  func attach(to handle: OpaquePointer) {
    let context = Unmanaged.passUnretained(self).toOpaque()
    PQsetNoticeReceiver(
      handle,
      { context, result in
        guard let context, let result else { return }
        Unmanaged<NoticeSink>.fromOpaque(context).takeUnretainedValue().observe(ServerMessage(result: result))
      }, context)
  }
}
