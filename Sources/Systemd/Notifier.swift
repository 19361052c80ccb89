internal import BackupModel
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Tells the service manager how the daemon is. Never blocks and never fails: where nobody listens, nothing is sent.
///
/// A status that does not fit into the manager's queue is dropped, since the next replaces it. A change of state (ready,
/// reloading, stopping) that does not fit is kept and sent with the next message.
/// - SeeAlso: `sd_notify(3)`, "Well-known assignments"; `NOTIFY_SOCKET` in "Notes".
public final class Notifier: Sendable {
  /// How often ``watchdog()`` must be called at least; nil where the manager does not watch. Half of it is a good beat.
  public let watchdogInterval: Duration?
  private let address: [UInt8]
  /// Changes of state that did not fit yet, oldest first.
  private let kept = Mutex<[String]>([])

  /// - Parameter environment: Variables of the process, of which `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`
  ///   count.
  public init(environment: [String: String]) {
    let socket = environment["NOTIFY_SOCKET"] ?? ""
    // "@" stands for the abstract namespace, whose names begin with a zero byte.
    var bytes = Array(socket.utf8)
    if bytes.first == 0x40 { bytes[0] = 0 }
    let isUsable = socket.hasPrefix("/") || socket.hasPrefix("@")
    address = isUsable && bytes.count <= 107 ? bytes : []
    let isForUs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
    watchdogInterval = environment["WATCHDOG_USEC"].flatMap { Int64($0) }
      .flatMap { $0 > 0 && isForUs ? .microseconds($0) : nil }
  }

  /// Whether a service manager asked to be told.
  public var isActive: Bool { !address.isEmpty }

  /// The daemon has started, or finished reloading.
  public func ready(status: String) { change("READY=1\n" + Self.status(status)) }

  /// One line for `systemctl status`.
  public func status(_ text: String) { _ = flush(adding: Self.status(text)) }

  /// The configuration is being read anew; ``ready(status:)`` ends it.
  public func reloading() {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    change("RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)")
  }

  public func stopping(status: String) { change("STOPPING=1\n" + Self.status(status)) }

  /// Start or stop takes longer than the unit allows: asks for so much more time from now.
  public func extendTimeout(by duration: Duration) { change("EXTEND_TIMEOUT_USEC=\(duration.microseconds)") }

  /// The daemon makes progress.
  public func watchdog() { _ = flush(adding: "WATCHDOG=1") }

  private static func status(_ text: String) -> String {
    "STATUS=" + text.prefix(500).map { $0.isNewline ? " " : String($0) }.joined()
  }

  private func change(_ message: String) {
    kept.withLock { kept in
      kept.append(message)
      sendAll(&kept)
    }
  }

  /// - Returns: Whether `message` went out.
  private func flush(adding message: String) -> Bool {
    kept.withLock { kept in
      sendAll(&kept)
      return kept.isEmpty && send(message)
    }
  }

  private func sendAll(_ messages: inout [String]) {
    while let first = messages.first, send(first) { messages.removeFirst() }
    // Whatever blocks for so long needs no history: the newest states are those that count.
    if messages.count > 8 { messages.removeFirst(messages.count - 8) }
  }

  /// - Returns: False where the queue is full; true where it went out or nobody listens.
  private func send(_ message: String) -> Bool {
    if address.isEmpty { return true }
    let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address) }
    // An abstract name is as long as it says; a path ends with its zero byte.
    let length = socklen_t(MemoryLayout<sa_family_t>.size + address.count + (address[0] == 0 ? 0 : 1))
    let bytes = Array(message.utf8)
    let sent = withUnsafePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, bytes, bytes.count, CInt(Int(MSG_DONTWAIT) | Int(MSG_NOSIGNAL)), $0, length)
      }
    }
    return sent >= 0 || !(errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR)
  }
}
