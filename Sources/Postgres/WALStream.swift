public import BackupModel
internal import CLibPQ

/// A running `START_REPLICATION … PHYSICAL`.
///
/// The caller takes messages with a timeout of zero until there is none, makes what it got durable once, reports it
/// with ``sendStatus(written:flushed:applied:reply:)``, then waits. A status at least every `wal_sender_timeout` / 2
/// keeps the server from ending the connection.
/// - Note: `@unchecked Sendable`: like its ``Connection`` used by one thread at a time, handed from one to another.
/// - SeeAlso: PostgreSQL documentation, "Streaming Replication Protocol", `START_REPLICATION`.
public final class WALStream: @unchecked Sendable {
  static let action = "stream WAL from"

  /// What the server sends. Buffers are valid only during the call.
  public enum Message {
    /// WAL from `start` on. `serverEnd` is the end of the server's WAL, `serverTime` its clock at sending.
    case data(start: LSN, serverEnd: LSN, serverTime: Timestamp, bytes: UnsafeRawBufferPointer)
    case keepalive(serverEnd: LSN, serverTime: Timestamp, replyRequested: Bool)
    /// The timeline ends at `at`; `next` follows it. The connection is ready for other commands.
    case endOfTimeline(next: TimelineID, at: LSN)
  }

  private enum State {
    case streaming
    case timelineEnded(next: TimelineID, at: LSN)
    case ended
  }

  private let connection: Connection
  private let slot: String?
  /// Where streaming began.
  public let start: WALPosition
  private var state = State.streaming

  /// Starts streaming.
  /// - Parameter slot: A physical slot; nil streams without one.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public init(_ connection: Connection, slot: String?, from start: WALPosition) throws {
    self.connection = connection
    self.slot = slot
    self.start = start
    if let slot { try LibPQ.checkSlotName(slot) }
    let slotText = slot.map { "SLOT \(LibPQ.quoteIdentifier($0)) " } ?? ""
    try connection.send(
      "START_REPLICATION \(slotText)PHYSICAL \(start.lsn) TIMELINE \(start.timeline.value)", [], while: Self.action)
    guard let result = try connection.nextResult(while: Self.action) else {
      throw connection.protocolViolation("It answered START_REPLICATION with nothing.")
    }
    switch result.status {
    case PGRES_COPY_BOTH: break
    // A timeline that ended exactly here has nothing to stream: the server goes straight to what follows.
    case PGRES_TUPLES_OK:
      state = try timelineEnd(result)
      while try connection.nextResult(while: Self.action) != nil {}
    case PGRES_FATAL_ERROR: throw connection.failure(of: result, while: Self.action, slot: slot)
    default: throw connection.protocolViolation("It answered START_REPLICATION without a stream.")
    }
  }

  /// Gives `body` the next message; nil where none came in time, and after the end of the timeline.
  ///
  /// - Parameter timeout: How long to wait; zero takes only what is there already.
  /// - Throws: ``PostgresError`` (``PostgresError/serverShutDown(_:)`` where the server stops in good order),
  ///   `CancellationError`, what `body` throws. After an error of the server's the connection is of no use.
  public func next<Value>(timeout: Duration, _ body: (Message) throws -> Value) throws -> Value? {
    switch state {
    case .ended: return nil
    case .timelineEnded(let next, let end):
      state = .ended
      return try body(.endOfTimeline(next: next, at: end))
    case .streaming: break
    }
    let deadline = timeout == .zero ? ContinuousClock.now : .now.advanced(by: timeout)
    let read = try connection.withCopyMessage(while: Self.action, until: deadline) { bytes in
      guard let message = Self.parse(bytes) else {
        throw PostgresError.protocolViolation("It sent an unknown message in a WAL stream.", connection.address)
      }
      return try body(message)
    }
    switch read {
    case .message(let value): return value
    case .timedOut: return nil
    case .end:
      state = try finish()
      return try self.next(timeout: timeout, body)
    }
  }

  /// Tells the server how far we are; each position is the one behind the last byte.
  ///
  /// - Parameter flushed: Durable here. The server may recycle WAL before it, and commits waiting for us go on.
  /// - Throws: ``PostgresError``, `CancellationError`.
  public func sendStatus(written: LSN, flushed: LSN, applied: LSN, reply: Reply = .notNeeded) throws {
    guard case .streaming = state else { return }
    var bytes: [UInt8] = [UInt8(ascii: "r")]
    bytes.reserveCapacity(34)
    for position in [written, flushed, applied] { BigEndian.append(position.value, to: &bytes) }
    BigEndian.append(UInt64(bitPattern: Timestamp.now().postgres), to: &bytes)
    bytes.append(reply == .requested ? 1 : 0)
    try connection.putCopyMessage(bytes, while: Self.action)
  }

  /// Whether the server should answer a status at once, with a keepalive.
  public enum Reply: Sendable, Hashable { case notNeeded, requested }

  /// Ends streaming in good order and leaves the connection ready for other commands.
  public func stop() throws {
    guard case .streaming = state else { return }
    state = .ended
    try connection.endCopy(while: Self.action)
    while case .message = try connection.withCopyMessage(while: Self.action, until: nil, { _ in }) {}
    while let result = try connection.nextResult(while: Self.action) {
      if result.status == PGRES_FATAL_ERROR { throw connection.failure(of: result, while: Self.action, slot: slot) }
    }
  }

  static func parse(_ bytes: UnsafeRawBufferPointer) -> Message? {
    switch bytes.first {
    case UInt8(ascii: "w"):
      guard let start = BigEndian.uint64(bytes, at: 1), let end = BigEndian.uint64(bytes, at: 9),
        let time = BigEndian.int64(bytes, at: 17)
      else { return nil }
      return .data(
        start: LSN(start), serverEnd: LSN(end), serverTime: Timestamp(postgres: time),
        bytes: UnsafeRawBufferPointer(rebasing: bytes[25...]))
    case UInt8(ascii: "k"):
      guard let end = BigEndian.uint64(bytes, at: 1), let time = BigEndian.int64(bytes, at: 9), bytes.count > 17 else {
        return nil
      }
      return .keepalive(serverEnd: LSN(end), serverTime: Timestamp(postgres: time), replyRequested: bytes[17] != 0)
    default: return nil
    }
  }

  /// Reads what comes after the server has ended the COPY: the next timeline, its good-bye, or its error.
  private func finish() throws -> State {
    var ended: State?
    while let result = try connection.nextResult(while: Self.action) {
      switch result.status {
      // Only the server's half is over: the protocol wants ours closed before the result set comes.
      case PGRES_COPY_IN: try connection.endCopy(while: Self.action)
      case PGRES_TUPLES_OK: ended = try timelineEnd(result)
      // A server that shuts down says only this, and hangs up.
      case PGRES_COMMAND_OK where ended == nil:
        connection.close()
        throw PostgresError.serverShutDown(connection.address)
      case PGRES_COMMAND_OK: continue
      default: throw connection.failure(of: result, while: Self.action, slot: slot)
      }
    }
    guard let ended else { throw connection.protocolViolation("It ended a WAL stream without a result.") }
    return ended
  }

  private func timelineEnd(_ result: borrowing ServerResult) throws -> State {
    guard let next = result.text(0, 0).flatMap({ UInt32($0) }), let end = result.text(0, 1).flatMap({ try? LSN($0) })
    else { throw connection.protocolViolation("It ended a timeline without naming the next.") }
    return .timelineEnded(next: TimelineID(next), at: end)
  }
}
