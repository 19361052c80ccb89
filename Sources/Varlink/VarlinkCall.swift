import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// One call that a server's handler answers.
public struct VarlinkCall: Sendable {
  public let request: VarlinkRequest
  public let peer: VarlinkPeer
  let outbox: VarlinkOutbox

  /// Sends one reply. Waits where the caller reads slowly, at most as long as the server's write timeout: whatever
  /// must not be slowed down by a caller puts a queue of its own in front of this.
  ///
  /// - Parameter continues: Another reply follows; only where the request said `more`.
  /// - Throws: ``VarlinkError/callerGone`` once the caller hung up.
  public func reply(_ parameters: some Encodable & Sendable, continues: Bool = false) async throws {
    precondition(!continues || request.more, "several replies to a call that takes one")
    if request.oneway { return }
    try await outbox.push(VarlinkReply.encode(parameters, continues: continues))
  }

  func reply(_ error: VarlinkErrorReply) async throws {
    if request.oneway { return }
    try await outbox.push(error.encoded())
  }
}

/// Replies on their way from the handlers' tasks to the event loop's thread.
final class VarlinkOutbox: Sendable {
  private struct State {
    var bytes: [UInt8] = []
    var isClosed = false
    var isAnswered = false
    var isLast = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  /// A reply is taken as long as fewer bytes than this wait for the caller.
  private static let room = 256 << 10
  private let state = Mutex(State())
  private let wakeUp: VarlinkWakeUp

  init(wakeUp: VarlinkWakeUp) { self.wakeUp = wakeUp }

  // For handlers.

  func push(_ bytes: [UInt8]) async throws {
    await withCheckedContinuation { continuation in
      let isReady = state.withLock { state in
        if state.isClosed || state.bytes.count < Self.room { return true }
        state.waiting.append(continuation)
        return false
      }
      if isReady { continuation.resume() }
    }
    let isTaken = state.withLock { state in
      if state.isClosed { return false }
      state.bytes += bytes
      return true
    }
    guard isTaken else { throw VarlinkError.callerGone }
    wakeUp.signal()
  }

  /// The handler is done with the call.
  func finishCall() {
    state.withLock { $0.isAnswered = true }
    wakeUp.signal()
  }

  /// The connection ends with what was pushed so far.
  func hangUp() { state.withLock { $0.isLast = true } }

  /// The caller hung up.
  var isClosed: Bool { state.withLock { $0.isClosed } }

  // For the event loop.

  /// Adds what the loop itself has to say, whatever else waits.
  func append(_ bytes: [UInt8]) { state.withLock { if !$0.isClosed { $0.bytes += bytes } } }

  var isEmpty: Bool { state.withLock { $0.bytes.isEmpty } }

  /// - Returns: Nil where no call was answered since this was last asked; else whether the connection ends with it.
  func takeAnswer() -> Bool? {
    state.withLock { state in
      defer { state.isAnswered = false }
      return state.isAnswered ? state.isLast : nil
    }
  }

  /// Sends what the socket takes now.
  /// - Returns: Bytes sent.
  /// - Throws: ``VarlinkError/callerGone``.
  func send(to socket: CInt) throws(VarlinkError) -> Int {
    let (result, waiting) = state.withLock { state -> (Result<Int, VarlinkError>, [CheckedContinuation<Void, Never>]) in
      let result = Result { () throws(VarlinkError) in
        try VarlinkSocket.send(state.bytes[...], to: socket) ?? 0
      }
      guard case .success(let count) = result else { return (result, []) }
      state.bytes.removeFirst(count)
      guard state.bytes.count < Self.room else { return (result, []) }
      defer { state.waiting = [] }
      return (result, state.waiting)
    }
    for continuation in waiting { continuation.resume() }
    return try result.get()
  }

  /// Nothing more can be sent; whoever waits for room leaves.
  func close() {
    let waiting = state.withLock { state in
      state.isClosed = true
      state.bytes = []
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// Ends another thread's `poll`.
final class VarlinkWakeUp: Sendable {
  let descriptor: CInt
  private let writeEnd: CInt

  init() throws(VarlinkError) {
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .system(action: "make", path: "a pipe", code: errno) }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    descriptor = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(descriptor)
    close(writeEnd)
  }

  /// A full pipe wakes as well as an empty one.
  func signal() { _ = write(writeEnd, [1], 1) }

  func drain() {
    var bytes = [UInt8](repeating: 0, count: 256)
    while read(descriptor, &bytes, bytes.count) > 0 {}
  }
}
