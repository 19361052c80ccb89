public import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// Where a metrics listener waits.
public enum MetricsEndpoint: Sendable, Hashable, CustomStringConvertible {
  /// 127.0.0.1; port 0 takes a free one.
  case loopback(port: UInt16)
  /// ::1.
  case loopback6(port: UInt16)
  case unix(path: String)

  public var description: String {
    switch self {
    case .loopback(let port): "127.0.0.1:\(port)"
    case .loopback6(let port): "[::1]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// The listener could not be opened, or not be waited on.
public struct MetricsError: OperatorError {
  var action: String
  var endpoint: MetricsEndpoint
  var code: CInt

  public var summary: String { "could not \(action) \(endpoint) for metrics" }
  public var detail: String? { String(cString: strerror(code)) + "." }
  public var hint: String? {
    code == EADDRINUSE ? "Another program listens there: give \"metrics.listen\" another address." : nil
  }
}

/// A socket that scrapers connect to; the file of a unix socket is removed when it goes away.
struct MetricsSocket: ~Copyable {
  let number: CInt
  private let endpoint: MetricsEndpoint

  /// - Throws: ``MetricsError``.
  init(listening endpoint: MetricsEndpoint) throws(MetricsError) {
    let family = if case .unix = endpoint { AF_UNIX } else if case .loopback6 = endpoint { AF_INET6 } else { AF_INET }
    let flags = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    let number = socket(family, flags, 0)
    guard number >= 0 else { throw MetricsError(action: "make a socket at", endpoint: endpoint, code: errno) }
    if case .unix(let path) = endpoint { Self.removeDead(path) }
    var yes: CInt = 1
    setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
    let isBound = Self.withAddress(endpoint) { bind(number, $0, $1) == 0 }
    guard isBound, listen(number, 32) == 0 else {
      let error = MetricsError(action: "listen on", endpoint: endpoint, code: errno)
      close(number)
      throw error
    }
    // Whoever may reach the directory may read: there is no secret in it.
    if case .unix(let path) = endpoint { chmod(path, 0o666) }
    self.number = number
    self.endpoint = endpoint
  }

  deinit {
    close(number)
    if case .unix(let path) = endpoint { unlink(path) }
  }

  /// The port it got; nil for a unix socket.
  var port: UInt16? {
    if case .unix = endpoint { return nil }
    var address = sockaddr_in6()
    var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let isKnown = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(number, $0, &size) == 0 }
    }
    // At the same place in both families.
    return isKnown ? UInt16(bigEndian: address.sin6_port) : nil
  }

  /// - Returns: A socket that does not block; nil where nobody waits.
  /// - Throws: ``MetricsError`` where no descriptor is left.
  func accept() throws(MetricsError) -> CInt? {
    let accepted = Glibc.accept(number, nil, nil)
    guard accepted >= 0 else {
      if [EAGAIN, EINTR, ECONNABORTED].contains(errno) { return nil }
      throw MetricsError(action: "accept a connection on", endpoint: endpoint, code: errno)
    }
    _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
    _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
    return accepted
  }

  /// The socket file of a daemon that is gone; one that answers stays, and binding fails.
  private static func removeDead(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
    let probe = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard probe >= 0 else { return }
    defer { close(probe) }
    let isDead = withAddress(.unix(path: path)) { connect(probe, $0, $1) != 0 && errno == ECONNREFUSED }
    if isDead { unlink(path) }
  }

  private static func withAddress<Result>(
    _ endpoint: MetricsEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    func pass<Address>(_ address: Address) -> Result {
      withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
      }
    }
    switch endpoint {
    case .loopback(let port):
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      return pass(address)
    case .loopback6(let port):
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = in6addr_loopback
      return pass(address)
    case .unix(let path):
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      // Longer ones do not pass the configuration.
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
      return pass(address)
    }
  }
}
