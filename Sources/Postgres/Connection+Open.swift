internal import BlockingWork
internal import CLibPQ

#if canImport(Glibc)
  import Glibc
#endif

extension Connection {
  /// Drives libpq's connecting state machine, so that the wait can be cancelled and has an end.
  static func open(
    _ options: ConnectOptions, _ purpose: Purpose, _ cancellation: Cancellation, _ notices: NoticeSink
  ) throws -> OpaquePointer {
    try cancellation.check()
    guard let handle = options.withCArrays({ PQconnectStartParams($0, $1, 0) }) else {
      preconditionFailure("PQconnectStartParams: out of memory")
    }
    do {
      notices.attach(to: handle)
      // Only the verbose form tells the SQLSTATE of a refused login.
      _ = PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
      try finish(handle, options, purpose, cancellation)
      _ = PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
      return handle
    } catch {
      PQfinish(handle)
      throw error
    }
  }

  private static func finish(
    _ handle: OpaquePointer, _ options: ConnectOptions, _ purpose: Purpose, _ cancellation: Cancellation
  ) throws {
    // libpq itself walks on to the next host or address, once the kernel has given up one (tcp_user_timeout).
    let deadline = ContinuousClock.now.advanced(by: .seconds(options.timeout * options.hostCount))
    var state = PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
    while state != PGRES_POLLING_OK {
      if state == PGRES_POLLING_FAILED {
        throw PostgresError.connecting(errorText(handle), purpose: purpose, ServerAddress(handle: handle))
      }
      let events = state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN
      switch SocketWait.wait(PQsocket(handle), events, cancellation, until: deadline) {
      case .ready: state = PQconnectPoll(handle)
      case .cancelled: throw CancellationError()
      case .timedOut:
        let failures = errorText(handle)
        let reason = "No answer within \(options.timeout) s."
        throw PostgresError.serverAway(
          ServerAddress(handle: handle),
          reason: failures.isEmpty ? reason : ConnectFailure(failures).reason + " " + reason)
      }
    }
  }

  private static func errorText(_ handle: OpaquePointer) -> String {
    PQerrorMessage(handle).map { String(cString: $0) } ?? ""
  }
}
