import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// A way out for code that blocks: a flag for loops, a descriptor for `poll`, handlers for everything else.
///
/// Set once, never cleared.
public final class Cancellation: Sendable {
  private struct State {
    var isCancelled = false
    var handlers: [Int: @Sendable () -> Void] = [:]
    var nextHandler = 0
  }
  private let state = Mutex(State())
  /// Becomes readable on cancellation and stays so: for `poll` beside a socket.
  public let descriptor: CInt
  private let writeEnd: CInt

  public init() {
    var ends: [CInt] = [-1, -1]
    precondition(pipe(&ends) == 0, "pipe: no descriptor left")
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

  public var isCancelled: Bool { state.withLock { $0.isCancelled } }

  /// May be called from any thread, more than once.
  public func cancel() {
    let handlers = state.withLock { state -> [@Sendable () -> Void] in
      if state.isCancelled { return [] }
      state.isCancelled = true
      defer { state.handlers = [:] }
      return Array(state.handlers.values)
    }
    _ = write(writeEnd, [1], 1)
    for handler in handlers { handler() }
  }

  /// - Throws: `CancellationError` once cancelled. Byte loops call this once a frame.
  public func check() throws {
    if isCancelled { throw CancellationError() }
  }

  /// Runs `handler` on cancellation, on the cancelling thread, at once where that has happened already.
  /// - Returns: A number for ``removeHandler(_:)``.
  @discardableResult
  public func addHandler(_ handler: @escaping @Sendable () -> Void) -> Int {
    let (number, now) = state.withLock { state -> (Int, Bool) in
      state.nextHandler += 1
      if state.isCancelled { return (state.nextHandler, true) }
      state.handlers[state.nextHandler] = handler
      return (state.nextHandler, false)
    }
    if now { handler() }
    return number
  }

  public func removeHandler(_ number: Int) {
    state.withLock { _ = $0.handlers.removeValue(forKey: number) }
  }

  /// Sleeps unless cancelled first.
  /// - Throws: `CancellationError`.
  public func sleep(_ duration: Duration) throws {
    let deadline = ContinuousClock.now.advanced(by: duration)
    while true {
      try check()
      let left = deadline - .now
      if left <= .zero { return }
      var descriptors = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      _ = poll(&descriptors, 1, CInt(min(left.microsecondsClamped / 1000 + 1, 3_600_000)))
    }
  }
}

extension Duration {
  var microsecondsClamped: Int64 {
    let (seconds, attoseconds) = components
    return seconds > 1 << 40 ? 1 << 60 : seconds * 1_000_000 + attoseconds / 1_000_000_000_000
  }
}
