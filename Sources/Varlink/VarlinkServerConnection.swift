#if canImport(Glibc)
  import Glibc
#endif

/// One caller, as the event loop's thread sees it.
final class VarlinkServerConnection {
  let peer: VarlinkPeer
  let outbox: VarlinkOutbox
  /// The socket, for `poll`; -1, which `poll` skips, once hung up.
  private(set) var number: CInt
  private let options: VarlinkServerOptions
  private var buffer: VarlinkFrameBuffer
  private var isReading = true
  private var isClosing = false
  /// Set while a call is being answered; finished when the caller hangs up.
  private var call: AsyncStream<Never>.Continuation?
  /// When a connection without a call is closed. Bytes that trickle in do not put it off; a finished call does.
  private var idleDeadline: ContinuousClock.Instant
  /// When a caller that takes nothing is cut off; nil while nothing waits for it.
  private var writeDeadline: ContinuousClock.Instant?

  /// - Parameter number: A socket that does not block; this connection closes it.
  init(adopting number: CInt, peer: VarlinkPeer, options: VarlinkServerOptions, outbox: VarlinkOutbox) {
    self.number = number
    self.peer = peer
    self.options = options
    self.outbox = outbox
    buffer = VarlinkFrameBuffer(limit: options.maximumMessageBytes)
    idleDeadline = .now + options.idleTimeout
  }

  deinit { if number >= 0 { close(number) } }

  // MARK: What the loop asks

  var events: Int16 { Int16(wantsToRead ? POLLIN : 0) | Int16(outbox.isEmpty ? 0 : POLLOUT) }
  /// While a call is answered the next ones wait in the kernel, and the caller with them.
  private var wantsToRead: Bool { isReading && (call == nil || buffer.count < 65_536) }
  var deadline: ContinuousClock.Instant? {
    if number < 0 { return nil }
    return call == nil ? min(idleDeadline, writeDeadline ?? idleDeadline) : writeDeadline
  }
  /// Closing it interrupts no call and loses no reply to one.
  var isDispensable: Bool { call == nil && (isClosing || outbox.isEmpty) }
  /// Hung up, and no task holds on to it.
  var isFinished: Bool { number < 0 && call == nil && (isClosing || buffer.count == 0) }

  // MARK: Reading

  func read() {
    if wantsToRead { _ = receive() }
  }

  /// What a caller sent before it hung up: a oneway call may be among it.
  func readRest() {
    while isReading && buffer.count <= options.maximumMessageBytes && receive() {}
  }

  /// - Returns: False where nothing is there now.
  private func receive() -> Bool {
    do {
      guard let bytes = try VarlinkSocket.receive(upTo: 65_536, from: number) else { return false }
      if bytes.isEmpty { isReading = false } else { buffer.append(bytes) }
      return true
    } catch {
      isReading = false
      return false
    }
  }

  /// The next call, where none is being answered.
  func nextMessage() throws(VarlinkError) -> [UInt8]? {
    guard call == nil, !isClosing else { return nil }
    if let message = try buffer.next() { return message }
    // No more calls can come: the connection ends when the last reply has gone out.
    if !isReading { closeWhenWritten() }
    return nil
  }

  // MARK: Calls

  func beginCall(_ hangUp: AsyncStream<Never>.Continuation) {
    call = hangUp
    if number < 0 { hangUp.finish() }
  }

  func noteAnswer() {
    guard let isLast = outbox.takeAnswer() else { return }
    call = nil
    idleDeadline = .now + options.idleTimeout
    if isLast { closeWhenWritten() }
  }

  // MARK: Writing and closing

  func write() {
    guard number >= 0 else { return }
    do {
      if outbox.isEmpty {
        writeDeadline = nil
      } else if try outbox.send(to: number) > 0 || writeDeadline == nil {
        writeDeadline = outbox.isEmpty ? nil : .now + options.writeTimeout
      }
    } catch {
      return hangUp()
    }
    if isClosing && call == nil && outbox.isEmpty { hangUp() }
  }

  func checkDeadlines() {
    if let deadline, deadline <= .now { hangUp() }
  }

  /// Takes no further call, and closes once the replies have gone out.
  func closeWhenWritten() {
    isClosing = true
    isReading = false
    buffer = VarlinkFrameBuffer(limit: 0)
  }

  /// Closes the socket now; the call in progress learns of it.
  func hangUp() {
    if number >= 0 { close(number) }
    number = -1
    isReading = false
    outbox.close()
    call?.finish()
  }
}
