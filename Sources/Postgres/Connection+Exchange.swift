internal import BackupModel
internal import CLibPQ

#if canImport(Glibc)
  import Glibc
#endif

/// Sending and receiving without ever blocking inside libpq.
extension Connection {
  /// What a look at a COPY stream brought.
  enum CopyRead<Value> {
    case message(Value)
    case timedOut
    case end
  }

  func openHandle(while action: String) throws -> OpaquePointer {
    if cancellation.isCancelled {
      // Left open, the server would wait for us: a shutdown waits for every WAL sender.
      abandon()
      throw CancellationError()
    }
    guard let handle else { throw lost(while: action) }
    return handle
  }

  func send(_ text: String, _ parameters: [String?], while action: String) throws {
    let handle = try openHandle(while: action)
    let isSent =
      parameters.isEmpty
      ? PQsendQuery(handle, text)
      : CStrings.with(parameters) {
        PQsendQueryParams(handle, text, CInt(parameters.count), nil, $0, nil, nil, 0)
      }
    guard isSent == 1 else { throw lost(while: action) }
    try flush(while: action)
  }

  /// Hands everything queued to the kernel.
  func flush(while action: String) throws {
    let handle = try openHandle(while: action)
    while true {
      switch PQflush(handle) {
      case 0: return
      case 1:
        _ = try wait(POLLIN | POLLOUT, until: nil)
        // Reading too: a server that waits for us to read what it sent would never read what we send.
        try consume(handle, while: action)
      default: throw lost(while: action)
      }
    }
  }

  /// - Returns: False where the deadline passed.
  func wait(_ events: Int32, until deadline: ContinuousClock.Instant?) throws -> Bool {
    switch SocketWait.wait(PQsocket(handle), events, cancellation, until: deadline) {
    case .ready: return true
    case .timedOut: return false
    case .cancelled:
      abandon()
      throw CancellationError()
    }
  }

  private func consume(_ handle: OpaquePointer, while action: String) throws {
    if PQconsumeInput(handle) == 1 { return }
    let error = lost(while: action)
    // The server's last words say more than "closed the connection unexpectedly".
    if PQisBusy(handle) == 0, let pointer = PQgetResult(handle) {
      let result = ServerResult(pointer)
      if result.status == PGRES_FATAL_ERROR, !result.message.sqlState.isEmpty {
        throw PostgresError.answered(result.message, while: action, address)
      }
    }
    throw error
  }

  /// The next result of the command that was sent; nil after the last.
  func nextResult(while action: String) throws -> ServerResult? {
    let handle = try openHandle(while: action)
    while PQisBusy(handle) == 1 {
      _ = try wait(POLLIN, until: nil)
      try consume(handle, while: action)
    }
    return PQgetResult(handle).map { ServerResult($0) }
  }

  /// Reads all results of a command and keeps the last that is not a failure.
  func lastResult(while action: String, slot: String?) throws -> ServerResult {
    var last: ServerResult?
    while let result = try nextResult(while: action) {
      switch result.status {
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: last = consume result
      case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
        throw protocolViolation("It began a COPY where none was asked for.")
      default: throw failure(of: result, while: action, slot: slot)
      }
    }
    guard let last else { throw protocolViolation("It ended a command without a result.") }
    return last
  }

  /// The error of a result that is one, after the results behind it have been read away.
  func failure(of result: borrowing ServerResult, while action: String, slot: String? = nil) -> any Error {
    let message = result.message
    do {
      while try nextResult(while: action) != nil {}
    } catch is CancellationError {
      return CancellationError()
    } catch {
      // The connection ended with the command: the first message is the cause.
      close()
    }
    guard !message.sqlState.isEmpty else {
      return PostgresError.connectionLost(address, while: action, reason: ConnectFailure(message.message).reason)
    }
    return PostgresError.answered(message, while: action, slot: slot, address)
  }

  /// Gives `body` the next message of a COPY stream. The bytes are valid only during the call.
  func withCopyMessage<Value>(
    while action: String, until deadline: ContinuousClock.Instant?,
    _ body: (UnsafeRawBufferPointer) throws -> Value
  ) throws -> CopyRead<Value> {
    let handle = try openHandle(while: action)
    while true {
      var buffer: UnsafeMutablePointer<CChar>?
      let count = PQgetCopyData(handle, &buffer, 1)
      if count > 0, let buffer {
        defer { PQfreemem(buffer) }
        return .message(try body(UnsafeRawBufferPointer(start: buffer, count: Int(count))))
      }
      if count == -1 { return .end }
      if count < 0 { throw lost(while: action) }
      guard try wait(POLLIN, until: deadline) else { return .timedOut }
      try consume(handle, while: action)
    }
  }

  /// Queues one message of a COPY stream and sends it.
  func putCopyMessage(_ bytes: [UInt8], while action: String) throws {
    let handle = try openHandle(while: action)
    while true {
      let outcome = bytes.withUnsafeBytes {
        PQputCopyData(handle, $0.bindMemory(to: CChar.self).baseAddress, CInt($0.count))
      }
      switch outcome {
      case 1: return try flush(while: action)
      case 0: try flush(while: action)
      default: throw lost(while: action)
      }
    }
  }

  func endCopy(while action: String) throws {
    let handle = try openHandle(while: action)
    while true {
      switch PQputCopyEnd(handle, nil) {
      case 1: return try flush(while: action)
      case 0: try flush(while: action)
      default: throw lost(while: action)
      }
    }
  }
}
