internal import BlockingWork

#if canImport(Glibc)
  import Glibc
#endif

/// A whole message on its way from the event loop to the task that answers it.
struct VarlinkIncomingCall: Sendable {
  var message: [UInt8]
  var peer: VarlinkPeer
  var outbox: VarlinkOutbox
  /// Ends when the caller hangs up.
  var hangUp: AsyncStream<Never>
}

/// The thread that accepts, reads and writes for every connection of a server, and never blocks but in `poll`.
struct VarlinkEventLoop: ~Copyable {
  typealias Refuse = @Sendable (VarlinkRefusal) throws -> [UInt8]

  private let options: VarlinkServerOptions
  private let refuse: Refuse
  private let deliver: @Sendable (VarlinkIncomingCall) -> Void
  private let listener: VarlinkListener
  private let wakeUp: VarlinkWakeUp
  /// In the order they were accepted.
  private var connections: [VarlinkServerConnection] = []
  /// Set while no descriptor is left to accept with.
  private var acceptAgain: ContinuousClock.Instant?
  private var stopBy: ContinuousClock.Instant?

  init(
    options: VarlinkServerOptions, refuse: @escaping Refuse, deliver: @escaping @Sendable (VarlinkIncomingCall) -> Void
  ) throws {
    let wakeUp = try VarlinkWakeUp()
    listener = try VarlinkListener.listening(path: options.path, mode: options.mode, group: options.group)
    self.wakeUp = wakeUp
    self.options = options
    self.refuse = refuse
    self.deliver = deliver
  }

  /// Runs until cancelled, and then until the calls have ended or had their time.
  mutating func run(_ cancellation: Cancellation) throws {
    defer { for connection in connections { connection.hangUp() } }
    while true {
      if cancellation.isCancelled, stopBy == nil {
        stopBy = .now + options.stopTimeout
        for connection in connections { connection.closeWhenWritten() }
      }
      for connection in connections { attend(to: connection) }
      connections.removeAll { $0.isFinished }
      if let stopBy, connections.isEmpty || stopBy <= .now { return }
      try wait(cancellation)
    }
  }

  /// Waits for something to do; reads, and accepts.
  private mutating func wait(_ cancellation: Cancellation) throws {
    let isAccepting = stopBy == nil && acceptAgain.map { $0 <= .now } ?? true
    var descriptors = [
      pollfd(fd: stopBy == nil ? cancellation.descriptor : -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: isAccepting ? listener.socket.number : -1, events: Int16(POLLIN), revents: 0),
    ]
    for connection in connections {
      descriptors.append(pollfd(fd: connection.number, events: connection.events, revents: 0))
    }
    let deadlines = connections.compactMap(\.deadline) + [stopBy, isAccepting ? nil : acceptAgain].compactMap { $0 }
    let timeout = deadlines.min().map { max($0 - .now, .zero).pollMilliseconds } ?? -1
    guard poll(&descriptors, nfds_t(descriptors.count), timeout) >= 0 || errno == EINTR || errno == ENOMEM else {
      throw VarlinkError.system(action: "wait for callers on", path: options.path, code: errno)
    }
    if descriptors[1].revents != 0 { wakeUp.drain() }
    for (connection, descriptor) in zip(connections, descriptors.dropFirst(3)) where descriptor.revents != 0 {
      connection.read()
      // Both directions are shut: the caller is gone, and poll would report it for ever.
      if CInt(descriptor.revents) & (POLLHUP | POLLERR | POLLNVAL) != 0 {
        connection.readRest()
        connection.hangUp()
      }
    }
    if descriptors[2].revents != 0 { acceptAll() }
  }

  /// Moves one connection on as far as it goes without waiting.
  private func attend(to connection: VarlinkServerConnection) {
    connection.noteAnswer()
    do {
      if stopBy == nil, let message = try connection.nextMessage() {
        let (hangUp, continuation) = AsyncStream.makeStream(of: Never.self)
        connection.beginCall(continuation)
        deliver(
          VarlinkIncomingCall(
            message: message, peer: connection.peer, outbox: connection.outbox, hangUp: hangUp))
      }
    } catch {
      say(.messageTooLarge(limit: options.maximumMessageBytes), to: connection)
    }
    connection.write()
    connection.checkDeadlines()
  }

  private mutating func acceptAll() {
    acceptAgain = nil
    do throws(VarlinkError) {
      // So many at a time that those who are connected are heard in between.
      for _ in 0..<32 {
        guard let number = try listener.accept() else { return }
        VarlinkSocket.setNonBlocking(number)
        guard let peer = VarlinkPeer(of: number) else {
          close(number)
          continue
        }
        let connection = VarlinkServerConnection(
          adopting: number, peer: peer, options: options, outbox: VarlinkOutbox(wakeUp: wakeUp))
        if makeRoom(for: peer) {
          connections.append(connection)
        } else {
          turnAway(connection)
        }
      }
    } catch {
      // No descriptor is left, most likely; the listener stays readable, so asking again at once would spin.
      acceptAgain = .now + .milliseconds(200)
    }
  }

  /// - Returns: False where the newcomer has to go.
  private func makeRoom(for peer: VarlinkPeer) -> Bool {
    let isTrusted = options.trustedUsers.contains(peer.userID)
    let open = connections.filter { !$0.isFinished }
    let own = open.filter { $0.peer.userID == peer.userID }
    if own.count >= (isTrusted ? options.maximumConnectionsPerTrustedUser : options.maximumConnectionsPerUser) {
      return evict(from: own)
    }
    if isTrusted { return true }
    let others = open.filter { !options.trustedUsers.contains($0.peer.userID) }
    return others.count < options.maximumConnections || evict(from: others)
  }

  /// Closes the oldest connection that is not in a call.
  private func evict(from candidates: [VarlinkServerConnection]) -> Bool {
    guard let oldest = candidates.first(where: \.isDispensable) else { return false }
    turnAway(oldest)
    return true
  }

  /// Whoever does not take the reason at once does not hear it: it must not hold a place.
  private func turnAway(_ connection: VarlinkServerConnection) {
    say(.tooManyConnections, to: connection)
    connection.write()
    connection.hangUp()
  }

  private func say(_ refusal: VarlinkRefusal, to connection: VarlinkServerConnection) {
    if let reply = try? refuse(refusal) { connection.outbox.append(reply) }
    connection.closeWhenWritten()
  }
}
