import CLinux
import Dispatch
import Glibc

/// Signals as a stream. Handlers do nothing but count; all work happens in the task that reads the stream.
struct SignalStream {
  let received: AsyncStream<Int32>
  /// Ends the stream as a last signal would.
  let end: @Sendable () -> Void
  private let sources: [any DispatchSourceSignal]

  init(_ signals: [Int32]) {
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
    received = stream
    end = { continuation.finish() }
    sources = signals.map { number in
      // The default action would end the process before the source hears of it.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
    signal(SIGPIPE, SIG_IGN)
  }
}

/// `daemon.admin-group` as a number.
enum AdminGroup {
  /// - Throws: ``DaemonError/groupMissing(_:)``.
  static func identifier(of name: String?) throws -> UInt32? {
    guard let name else { return nil }
    var entry = group()
    var found: UnsafeMutablePointer<group>?
    var buffer = [CChar](repeating: 0, count: 65536)
    guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
      throw DaemonError.groupMissing(name)
    }
    return entry.gr_gid
  }
}

/// How the C library keeps memory that is free.
enum HeapSettings {
  private static let trimThreshold: Int32 = -1
  private static let mmapThreshold: Int32 = -3
  private static let maximumArenas: Int32 = -8

  /// Hands large buffers back to the system when they are freed.
  ///
  /// By default malloc raises its threshold with each large buffer freed, up to 32 MiB, and keeps those that follow: a
  /// daemon that sealed a few WAL segments would hold their memory until it ends. To be called before any thread begins.
  /// - SeeAlso: `mallopt(3)`, `M_MMAP_THRESHOLD`: "dynamic adjustment".
  static func apply() {
    // Each is a matter of thrift alone: where one is refused, the daemon works as well.
    _ = backupd_mallopt(mmapThreshold, 256 << 10)
    _ = backupd_mallopt(trimThreshold, 1 << 20)
    _ = backupd_mallopt(maximumArenas, 2)
  }
}
