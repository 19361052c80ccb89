internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// A TCP port on 127.0.0.1 that nobody listens on now and that this process has not handed out before.
///
/// Taken from below the range from which the kernel serves outgoing connections: a port of that range can be somebody's
/// own end of a connection between the moment it is found and the moment the server binds it.
public enum FreePort {
  private static let range: ClosedRange<UInt16> = {
    // Processes that test side by side (`scripts/test.sh`) must not find the same.
    let part = UInt16(ProcessInfo.processInfo.environment["BACKUPD_TEST_PART"] ?? "") ?? 0
    let first = 15_000 + part % 3 * 5600
    return first...(first + 5599)
  }()
  private static let given = Mutex<Set<UInt16>>([])

  public static func find() throws -> UInt16 {
    while true {
      let port = UInt16.random(in: range)
      if given.withLock({ $0.insert(port).inserted }), try isFree(port) { return port }
    }
  }

  private static func isFree(_ port: UInt16) throws -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try Errno.check(descriptor, "socket", "127.0.0.1")
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        bind(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result < 0, errno == EADDRINUSE { return false }
    try Errno.check(result, "bind", "127.0.0.1")
    return true
  }
}
