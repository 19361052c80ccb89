internal import BackupModel
internal import ControlProtocol
public import Logging
internal import Varlink

#if canImport(Glibc)
  import Glibc
#endif

/// Where the control socket is and who may do what over it.
public struct ControlServerOptions: Sendable {
  public var path: String
  /// Mode of the socket file: who may not write to it cannot even read the status.
  public var mode: UInt32 = 0o660
  /// The group whose members may act. The socket file is given to it.
  public var adminGroup: UInt32?
  /// What `Ping` and GetInfo tell.
  public var version: String
  /// Connections open at once, those of root and the daemon's user not counted.
  public var maximumConnections = 64
  public var maximumConnectionsPerUser = 8
  public var idleTimeout: Duration = .seconds(60)
  public var writeTimeout: Duration = .seconds(10)

  public init(path: String, version: String) {
    self.path = path
    self.version = version
  }
}

/// The daemon's control socket: `io.backupd.Control`.
public struct ControlServer: Sendable {
  private let server: VarlinkServer<ControlService>

  public init(options: ControlServerOptions, handler: any ControlHandler, logger: Logger) {
    var varlink = VarlinkServerOptions(path: options.path)
    varlink.mode = options.mode
    varlink.group = options.adminGroup
    varlink.maximumConnections = options.maximumConnections
    varlink.maximumConnectionsPerUser = options.maximumConnectionsPerUser
    varlink.trustedUsers = [0, geteuid()]
    varlink.idleTimeout = options.idleTimeout
    varlink.writeTimeout = options.writeTimeout
    server = VarlinkServer(
      options: varlink,
      service: ControlService(
        version: options.version, adminGroup: options.adminGroup, handler: handler, logger: logger))
  }

  /// Answers callers until its task is cancelled; then ends their calls and removes the socket.
  ///
  /// A socket file nobody answers on is replaced. A child of the daemon's task group.
  /// - Parameter listening: Called once, when callers can connect.
  /// - Throws: An `OperatorError` where it cannot listen: another daemon answers, or the path is not writable.
  public func run(listening: @escaping @Sendable () -> Void = {}) async throws {
    try await server.run(listening: listening)
  }
}
