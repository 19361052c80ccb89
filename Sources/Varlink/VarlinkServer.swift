internal import BlockingWork

/// How a server listens and what it lets callers do to it.
public struct VarlinkServerOptions: Sendable {
  public var path: String
  /// Mode of the socket file; whoever may write to it may connect.
  public var mode: UInt32 = 0o660
  /// Group of the socket file; nil leaves it to the process.
  public var group: UInt32?
  /// Connections open at once, those of trusted users not counted.
  public var maximumConnections = 64
  /// Connections of one user open at once.
  public var maximumConnectionsPerUser = 8
  /// Users whom others cannot crowd out.
  public var trustedUsers: Set<UInt32> = [0]
  public var maximumConnectionsPerTrustedUser = 32
  /// Bytes of one call.
  public var maximumMessageBytes = VarlinkFraming.standardLimit
  /// A connection without a call is closed after this.
  public var idleTimeout: Duration = .seconds(60)
  /// A caller that takes nothing of what is sent for this long is cut off.
  public var writeTimeout: Duration = .seconds(10)
  /// How long calls may take to end once the server stops.
  public var stopTimeout: Duration = .seconds(1)

  public init(path: String) { self.path = path }
}

/// What GetInfo tells about a service.
public struct VarlinkServiceInformation: Sendable {
  public var vendor: String
  public var product: String
  public var version: String
  public var url: String
  public init(vendor: String, product: String, version: String, url: String) {
    self.vendor = vendor
    self.product = product
    self.version = version
    self.url = url
  }
}

/// Why a server closes a connection without a call being answered.
public enum VarlinkRefusal: Sendable, Hashable {
  case tooManyConnections
  case malformed(String)
  case messageTooLarge(limit: Int)
}

/// What answers the calls of one interface.
public protocol VarlinkService: Sendable {
  var information: VarlinkServiceInformation { get }
  /// `io.backupd.Control`.
  var interface: String { get }
  /// The interface as text.
  /// - SeeAlso: <https://varlink.org/Interface-Definition>
  var interfaceDescription: String { get }

  /// Answers one call of ``interface``: replies through `call`, the last time without `continues`.
  ///
  /// Its task is cancelled when the caller hangs up and when the server stops. A ``VarlinkErrorReply`` thrown becomes
  /// the reply; any other error closes the connection.
  func answer(_ call: VarlinkCall) async throws

  /// What a caller is told before its connection is closed.
  func reply(to refusal: VarlinkRefusal) -> VarlinkErrorReply
}

/// Serves a Varlink interface on a unix socket.
///
/// One thread does all reading and writing without ever blocking; each call is answered in a task of its own. So callers
/// that are silent, slow or hostile cost a connection each and delay nobody. Where a limit is met, the oldest connection
/// without a call makes room; a newcomer is refused only where all are in the middle of one.
public struct VarlinkServer<Service: VarlinkService>: Sendable {
  private let options: VarlinkServerOptions
  private let service: Service
  private let lane: Lane

  public init(options: VarlinkServerOptions, service: Service) {
    self.options = options
    self.service = service
    lane = Lane(label: "varlink." + service.interface)
  }

  /// Serves until its task is cancelled; then ends the calls, sends what is left and removes the socket.
  /// - Parameter listening: Called once callers can connect.
  /// - Throws: ``VarlinkError`` where it cannot listen; `CancellationError` never.
  public func run(listening: @escaping @Sendable () -> Void = {}) async throws {
    let (calls, continuation) = AsyncStream.makeStream(of: VarlinkIncomingCall.self)
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask {
        defer { continuation.finish() }
        try await lane.run { [options, service] cancellation in
          let refuse: VarlinkEventLoop.Refuse = { try service.reply(to: $0).encoded() }
          var loop = try VarlinkEventLoop(options: options, refuse: refuse) { continuation.yield($0) }
          listening()
          try loop.run(cancellation)
        }
      }
      // The loop hands over one call of a connection at a time, so this is bounded by the connections.
      for await call in calls {
        group.addTask { await serve(call) }
      }
    }
  }

  /// Answers one call; returns when the handler has ended.
  private func serve(_ incoming: VarlinkIncomingCall) async {
    defer { incoming.outbox.finishCall() }
    let request: VarlinkRequest
    do {
      request = try VarlinkRequest(decoding: incoming.message)
    } catch {
      // Whoever does not speak the protocol is told so once.
      if let reply = try? service.reply(to: .malformed(error.detail ?? error.summary)).encoded() {
        incoming.outbox.append(reply)
      }
      return incoming.outbox.hangUp()
    }
    let call = VarlinkCall(request: request, peer: incoming.peer, outbox: incoming.outbox)
    if request.oneway { return await answer(call) }
    // A caller that left before its call began wants nothing of it any more.
    if incoming.outbox.isClosed { return }
    await withTaskGroup { group in
      group.addTask { await answer(call) }
      // Ends when the caller hangs up.
      group.addTask { for await _ in incoming.hangUp {} }
      await group.next()
      group.cancelAll()
    }
  }

  private func answer(_ call: VarlinkCall) async {
    do {
      do {
        switch call.request.interface {
        case service.interface: try await service.answer(call)
        case "org.varlink.service": try await answerAboutService(call)
        default: throw VarlinkErrorReply.interfaceNotFound(call.request.interface)
        }
      } catch let error as VarlinkErrorReply {
        try await call.reply(error)
      }
    } catch {
      call.outbox.hangUp()
    }
  }

  /// - SeeAlso: <https://varlink.org/Service>
  private func answerAboutService(_ call: VarlinkCall) async throws {
    switch call.request.method {
    case "org.varlink.service.GetInfo":
      _ = try call.request.parameters(as: VarlinkNothing.self)
      let information = service.information
      try await call.reply(
        ServiceInformation(
          vendor: information.vendor, product: information.product, version: information.version, url: information.url,
          interfaces: ["org.varlink.service", service.interface]))
    case "org.varlink.service.GetInterfaceDescription":
      let name = try call.request.parameters(as: InterfaceName.self).interface
      switch name {
      case service.interface: try await call.reply(["description": service.interfaceDescription])
      case "org.varlink.service": try await call.reply(["description": serviceInterfaceDescription])
      default: throw VarlinkErrorReply.interfaceNotFound(name)
      }
    default: throw VarlinkErrorReply.methodNotFound(call.request.method)
    }
  }
}

private struct ServiceInformation: Codable {
  var vendor: String
  var product: String
  var version: String
  var url: String
  var interfaces: [String]
}

private struct InterfaceName: VarlinkParameters {
  static let fields: Set<String> = ["interface"]
  var interface: String
}

private let serviceInterfaceDescription = """
  # What every Varlink service tells about itself.
  interface org.varlink.service

  # Who made the service and which interfaces it has.
  method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

  # The text of one interface.
  method GetInterfaceDescription(interface: string) -> (description: string)

  # The service has no such interface.
  error InterfaceNotFound (interface: string)

  # The interface has no such method.
  error MethodNotFound (method: string)

  # The interface has the method, the service does not.
  error MethodNotImplemented (method: string)

  # A parameter is missing, unknown or of another type.
  error InvalidParameter (parameter: string)

  """
