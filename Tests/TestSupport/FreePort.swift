internal import Glibc
internal import Synchronization

/// A TCP port on 127.0.0.1 that nobody listens on now and that this process has not handed out before.
public enum FreePort {
  private static let given = Mutex<Set<UInt16>>([])

  public static func find() throws -> UInt16 {
    while true {
      let port = try ask()
      if given.withLock({ $0.insert(port).inserted }) { return port }
    }
  }

  /// Lets the kernel choose: bound, read back, closed.
  private static func ask() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try Errno.check(descriptor, "socket", "127.0.0.1")
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        bind(descriptor, generic, length) == 0 ? getsockname(descriptor, generic, &length) : -1
      }
    }
    try Errno.check(result, "bind", "127.0.0.1")
    return UInt16(bigEndian: address.sin_port)
  }
}
