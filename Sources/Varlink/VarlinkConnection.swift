public import BlockingWork

#if canImport(Glibc)
  import Glibc
#endif

/// A caller's end of a connection. Its calls block: they belong on a lane or in a command-line program.
public struct VarlinkConnection: ~Copyable {
  private let socket: VarlinkSocket
  private let path: String
  private let cancellation: Cancellation
  private var buffer: VarlinkFrameBuffer

  /// - Parameters:
  ///   - cancellation: The way out of every call on this connection.
  ///   - limit: Bytes of one reply. Larger than a server's, since the caller chose whom to trust.
  /// - Throws: ``VarlinkError/connectionRefused(path:code:)`` where nobody listens or the caller may not connect.
  public init(path: String, cancellation: Cancellation = Cancellation(), limit: Int = 64 << 20) throws {
    socket = try Self.connectedSocket(path)
    self.path = path
    self.cancellation = cancellation
    buffer = VarlinkFrameBuffer(limit: limit)
  }

  private static func connectedSocket(_ path: String) throws -> VarlinkSocket {
    let socket = try VarlinkSocket(path: path)
    // A daemon that stopped accepting has a full queue, in which connect would wait for ever.
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(socket.number, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let code = try socket.connect(to: path)
    guard code == 0 else { throw VarlinkError.connectionRefused(path: path, code: code) }
    socket.setNonBlocking()
    return socket
  }

  /// One call, one reply.
  /// - Parameter timeout: For the reply; nil waits as long as the work takes.
  /// - Throws: ``VarlinkRemoteError`` where the answer is an error, ``VarlinkError``, `CancellationError`.
  public mutating func call<Reply: Decodable>(
    _ method: String, _ parameters: some Encodable, returning: Reply.Type, timeout: Duration? = .seconds(30)
  ) throws -> Reply {
    let deadline = timeout.map { ContinuousClock.now + $0 }
    try send(VarlinkRequest.encode(method, parameters), method: method, until: deadline)
    return try receive(method: method, until: deadline).parameters(as: Reply.self)
  }

  /// One call, any number of replies, the last among them; an error thrown by `each` ends the call.
  /// - Throws: ``VarlinkRemoteError`` where an answer is an error, ``VarlinkError``, `CancellationError`.
  public mutating func callMore<Reply: Decodable>(
    _ method: String, _ parameters: some Encodable, returning: Reply.Type, each: (Reply) throws -> Void
  ) throws {
    try send(VarlinkRequest.encode(method, parameters, more: true), method: method, until: nil)
    while true {
      let reply = try receive(method: method, until: nil)
      try each(reply.parameters(as: Reply.self))
      if !reply.continues { return }
    }
  }

  /// A call that wants no reply.
  public mutating func callOneway(_ method: String, _ parameters: some Encodable) throws {
    try send(VarlinkRequest.encode(method, parameters, oneway: true), method: method, until: .now + .seconds(30))
  }

  private mutating func send(_ bytes: [UInt8], method: String, until deadline: ContinuousClock.Instant?) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      do throws(VarlinkError) {
        if let count = try VarlinkSocket.send(rest, to: socket.number) {
          rest = rest.dropFirst(count)
          continue
        }
      } catch {
        // The server may have said why before it closed; the caller reads that next.
        return
      }
      try wait(for: POLLOUT, method: method, until: deadline)
    }
  }

  private mutating func receive(method: String, until deadline: ContinuousClock.Instant?) throws -> VarlinkReply {
    while true {
      if let message = try buffer.next() {
        let reply = try VarlinkReply(decoding: message)
        if let error = reply.error { throw VarlinkRemoteError(name: error, reply: reply) }
        return reply
      }
      do throws(VarlinkError) {
        if let bytes = try VarlinkSocket.receive(upTo: 65_536, from: socket.number) {
          if bytes.isEmpty { throw .connectionLost(path: path) }
          buffer.append(bytes)
          continue
        }
      } catch {
        throw VarlinkError.connectionLost(path: path)
      }
      try wait(for: POLLIN, method: method, until: deadline)
    }
  }

  private func wait(for events: CInt, method: String, until deadline: ContinuousClock.Instant?) throws {
    var descriptors = [
      pollfd(fd: socket.number, events: Int16(events), revents: 0),
      pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    var timeout: CInt = -1
    if let deadline {
      let left = deadline - .now
      guard left > .zero else { throw VarlinkError.timedOut(path: path, method: method) }
      timeout = left.pollMilliseconds
    }
    _ = poll(&descriptors, nfds_t(descriptors.count), timeout)
    try cancellation.check()
  }
}

extension Duration {
  /// Rounded up, so that a wait never ends just before its deadline; at most an hour.
  var pollMilliseconds: CInt {
    let (seconds, attoseconds) = components
    guard seconds < 3600 else { return 3_600_000 }
    return CInt(max(seconds, 0) * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
  }
}
