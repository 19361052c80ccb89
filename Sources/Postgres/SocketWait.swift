internal import BlockingWork

#if canImport(Glibc)
  import Glibc
#endif

/// Waiting for a socket with a way out.
enum SocketWait {
  enum Outcome { case ready, timedOut, cancelled }

  /// Waits until the socket is ready or broken, the deadline has passed, or cancellation; that one comes first.
  /// - Parameter deadline: Nil waits for as long as it takes; one in the past looks once.
  static func wait(
    _ socket: CInt, _ events: Int32, _ cancellation: Cancellation, until deadline: ContinuousClock.Instant?
  ) -> Outcome {
    while true {
      var descriptors = [
        pollfd(fd: socket, events: Int16(events), revents: 0),
        pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      let count = poll(&descriptors, 2, milliseconds(until: deadline))
      if cancellation.isCancelled { return .cancelled }
      if count > 0, descriptors[0].revents != 0 { return .ready }
      if let deadline, deadline <= .now { return .timedOut }
    }
  }

  /// Rounded up, so that waiting does not turn into spinning for the last millisecond.
  private static func milliseconds(until deadline: ContinuousClock.Instant?) -> CInt {
    guard let deadline else { return -1 }
    let left = (deadline - .now).components
    if left.seconds < 0 || (left.seconds == 0 && left.attoseconds <= 0) { return 0 }
    return CInt(min(left.seconds, 1_000_000) * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1)
  }
}
