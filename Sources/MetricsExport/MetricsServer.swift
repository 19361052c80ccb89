internal import BlockingWork

#if canImport(Glibc)
  import Glibc
#endif

/// Answers `GET /metrics` over HTTP/1.1, one request a connection.
///
/// One thread that never blocks but in `poll`. Callers that are silent, slow or hostile cost a connection for some seconds,
/// of which there is a fixed number; those who come beyond it are turned away.
public struct MetricsServer: Sendable {
  public struct Options: Sendable {
    public var endpoint: MetricsEndpoint
    public var maximumConnections = 16
    /// From the connection to its end.
    public var timeout: Duration = .seconds(5)

    public init(_ endpoint: MetricsEndpoint) { self.endpoint = endpoint }
  }

  private let options: Options
  private let board: MetricsBoard
  private let lane = Lane(label: "metrics")

  public init(_ options: Options, board: MetricsBoard) {
    self.options = options
    self.board = board
    board.ask()
  }

  /// Serves until its task is cancelled.
  /// - Parameter listening: Called once callers can connect, with the port.
  /// - Throws: ``MetricsError`` where it cannot listen.
  public func run(listening: @escaping @Sendable (UInt16?) -> Void = { _ in }) async throws {
    try await lane.run { [options, board] cancellation in
      let socket = try MetricsSocket(listening: options.endpoint)
      listening(socket.port)
      try Self.serve(socket, options, board, cancellation)
    }
  }

  private static func serve(
    _ socket: borrowing MetricsSocket, _ options: Options, _ board: MetricsBoard, _ cancellation: Cancellation
  ) throws {
    var connections: [MetricsConnection] = []
    // Set while no descriptor is left to accept with: the listener stays readable, and asking at once would spin.
    var acceptAgain: ContinuousClock.Instant?
    while !cancellation.isCancelled {
      var descriptors = [
        pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: acceptAgain == nil ? socket.number : -1, events: Int16(POLLIN), revents: 0),
      ]
      for connection in connections {
        descriptors.append(pollfd(fd: connection.number, events: connection.events, revents: 0))
      }
      let nearest = (connections.map(\.deadline) + [acceptAgain].compactMap { $0 }).map { $0 - .now }.min()
      let timeout = nearest.map { CInt(max(0, min($0 / .milliseconds(1) + 1, 60_000))) } ?? -1
      guard poll(&descriptors, nfds_t(descriptors.count), timeout) >= 0 || errno == EINTR else {
        throw MetricsError(action: "wait for callers on", endpoint: options.endpoint, code: errno)
      }
      for (connection, descriptor) in zip(connections, descriptors.dropFirst(2)) where descriptor.revents != 0 {
        connection.advance(board)
      }
      connections.removeAll { $0.isFinished || $0.deadline <= .now }
      if let time = acceptAgain, time <= .now { acceptAgain = nil }
      guard descriptors[1].revents != 0 else { continue }
      do throws(MetricsError) {
        try accept(socket, &connections, options)
      } catch {
        acceptAgain = .now + .milliseconds(200)
      }
    }
  }

  private static func accept(
    _ socket: borrowing MetricsSocket, _ connections: inout [MetricsConnection], _ options: Options
  ) throws(MetricsError) {
    // So many at a time that those who are connected are heard in between.
    for _ in 0..<options.maximumConnections {
      guard let number = try socket.accept() else { return }
      let connection = MetricsConnection(adopting: number, deadline: .now + options.timeout)
      if connections.count < options.maximumConnections { connections.append(connection) }
    }
  }
}

/// One scraper, as the server's thread sees it.
final class MetricsConnection {
  let number: CInt
  let deadline: ContinuousClock.Instant
  private(set) var isFinished = false
  private var request: [UInt8] = []
  /// What is left to be sent; nil while the request has not come whole.
  private var answer: ArraySlice<UInt8>?
  /// What comes after the answer is read and forgotten: to close with bytes unread would take the answer along.
  private var isDraining = false

  init(adopting number: CInt, deadline: ContinuousClock.Instant) {
    self.number = number
    self.deadline = deadline
  }

  deinit { close(number) }

  var events: Int16 { Int16(answer.map { !$0.isEmpty } ?? false ? POLLOUT : POLLIN) }

  /// Goes on as far as it can without waiting.
  func advance(_ board: MetricsBoard) {
    if isDraining { return drain() }
    if answer == nil { read(board) }
    if answer != nil { write() }
  }

  private func read(_ board: MetricsBoard) {
    var buffer = [UInt8](repeating: 0, count: RequestHead.limit)
    let count = recv(number, &buffer, buffer.count, 0)
    guard count > 0 else {
      isFinished = count == 0 || (errno != EAGAIN && errno != EINTR)
      return
    }
    request += buffer[..<count]
    switch RequestHead(request) {
    case .incomplete: return
    case .page(let withBody): answer = Self.response(200, "OK", board.text, withBody: withBody)
    case .refused(let status, let reason): answer = Self.response(status, reason, reason + "\n", withBody: true)
    }
    request = []
  }

  private func write() {
    while let rest = answer, !rest.isEmpty {
      let count = rest.withUnsafeBytes { send(number, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
      if count < 0 {
        if errno == EINTR { continue }
        isFinished = errno != EAGAIN
        return
      }
      answer = rest.dropFirst(count)
    }
    isDraining = true
    isFinished = shutdown(number, CInt(SHUT_WR)) != 0
  }

  private func drain() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(number, &buffer, buffer.count, 0)
    if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { isFinished = true }
  }

  private static func response(_ status: Int, _ reason: String, _ body: String, withBody: Bool) -> ArraySlice<UInt8> {
    let bytes = Array(body.utf8)
    let type = status == 200 ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8"
    let allow = status == 405 ? "Allow: GET, HEAD\r\n" : ""
    let head =
      "HTTP/1.1 \(status) \(reason)\r\nContent-Type: \(type)\r\nContent-Length: \(bytes.count)\r\n\(allow)"
      + "Connection: close\r\n\r\n"
    return ArraySlice(Array(head.utf8) + (withBody ? bytes : []))
  }
}
