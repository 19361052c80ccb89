internal import CLibPQ

#if canImport(Glibc)
  import Glibc
#endif

/// Asking a server to stop a command, by a connection of its own as the protocol demands.
enum CancelRequest {
  /// Best effort: the caller closes its connection in any case.
  static func send(_ cancel: OpaquePointer, to socket: CInt) {
    // PQcancel blocks while it connects, so it is left out where the server is not reachable any more.
    guard isReachable(peerOf: socket) else { return }
    var message = [CChar](repeating: 0, count: 256)
    _ = PQcancel(cancel, &message, CInt(message.count))
  }

  /// Whether the peer takes another connection within two seconds.
  private static func isReachable(peerOf socketNumber: CInt) -> Bool {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        guard getpeername(socketNumber, address, &length) == 0 else { return false }
        if CInt(address.pointee.sa_family) == AF_UNIX { return true }
        let probe = socket(CInt(address.pointee.sa_family), CInt(SOCK_STREAM.rawValue), 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        _ = fcntl(probe, F_SETFD, FD_CLOEXEC)
        _ = fcntl(probe, F_SETFL, O_NONBLOCK)
        if connect(probe, address, length) == 0 { return true }
        guard errno == EINPROGRESS else { return false }
        var descriptor = pollfd(fd: probe, events: Int16(POLLOUT), revents: 0)
        guard poll(&descriptor, 1, 2000) == 1 else { return false }
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(probe, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code == 0
      }
    }
  }
}
