public import BlockingWork
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// A program whose output is read through a pipe, or whose input is written through one. Used by one thread.
///
/// What it writes to standard error is read all the while, so that it never waits for us there; the last of it is kept. A
/// cancellation ends it by SIGTERM, and by SIGKILL where that does not help.
public final class PipedProgram {
  /// What is read from it, or written to it.
  public enum Direction: Sendable { case output, input, none }

  /// Bytes of its standard error that are kept.
  static let keptWords = 64 << 10
  private static let pipeSize: Int32 = 1 << 20
  /// How long it may take to end once it was asked to.
  private static let patience = Duration.seconds(5)

  private let name: String
  private let pid: pid_t
  private let direction: Direction
  private let cancellation: Cancellation
  private var data: Int32
  private var errors: Int32
  private var text: [UInt8] = []
  private var status: ProgramStatus?

  /// - Parameters:
  ///   - input: A file its standard input is read from; nil is nothing.
  ///   - environment: For it alone, over this process's: where a password goes.
  /// - Throws: `FileError`.
  public init(
    _ path: String, _ arguments: [String], environment: [String: String] = [:], _ direction: Direction,
    input: String = "/dev/null", cancellation: Cancellation
  ) throws {
    name = String(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...])
    self.direction = direction
    self.cancellation = cancellation
    let words = try ProgramStart.pipe(for: path)
    defer { close(words[1]) }
    errors = words[0]
    var ends: [Int32] = [-1, -1]
    do {
      if direction != .none { ends = try ProgramStart.pipe(for: path) }
      pid = try Self.start(path, arguments, environment, direction, input, ends, words[1])
    } catch {
      for end in [errors] + ends where end >= 0 { close(end) }
      throw error
    }
    data = direction == .output ? ends[0] : ends[1]
    let other = direction == .output ? ends[1] : ends[0]
    if other >= 0 { close(other) }
    if data >= 0 {
      // A wish: without it there are more switches between the two.
      _ = fcntl(data, Self.setPipeSize, Self.pipeSize)
      _ = fcntl(data, F_SETFL, O_NONBLOCK)
    }
    _ = fcntl(errors, F_SETFL, O_NONBLOCK)
  }

  /// F_SETPIPE_SZ of Linux, which the Glibc module leaves out.
  private static let setPipeSize: Int32 = 1031

  private static func start(
    _ path: String, _ arguments: [String], _ environment: [String: String], _ direction: Direction, _ input: String,
    _ ends: [Int32], _ words: Int32
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if direction == .input {
      posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
    }
    if direction == .output {
      posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    } else {
      posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    }
    posix_spawn_file_actions_adddup2(&actions, words, 2)
    return try ProgramStart.spawn([path] + arguments, &actions, environment: environment)
  }

  deinit {
    if status == nil { stop() }
    if data >= 0 { close(data) }
    if errors >= 0 { close(errors) }
  }

  /// Some of its output; 0 at its end.
  /// - Throws: `FileError`, `CancellationError`.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
      let count = Glibc.read(data, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      guard errno == EAGAIN || errno == EINTR else { throw FileError.last("read the output of", name) }
      try wait(for: POLLIN)
    }
  }

  /// Writes all of it.
  /// - Returns: False where the program reads no more: how it ended tells why.
  public func write(_ bytes: UnsafeRawBufferPointer) throws -> Bool {
    var rest = bytes
    while rest.count > 0 {
      let count = Glibc.write(data, rest.baseAddress, rest.count)
      if count >= 0 {
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      } else if errno == EPIPE {
        return false
      } else if errno == EAGAIN || errno == EINTR {
        try wait(for: POLLOUT)
      } else {
        throw FileError.last("write to", name)
      }
    }
    return true
  }

  /// Waits until the program is ready for more, and takes what it says meanwhile.
  private func wait(for events: Int32) throws {
    var descriptors = [
      pollfd(fd: data, events: Int16(events), revents: 0), pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
      pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    _ = poll(&descriptors, nfds_t(descriptors.count), -1)
    if descriptors[1].revents != 0 { takeWords() }
    if cancellation.isCancelled {
      stop()
      throw CancellationError()
    }
  }

  private func takeWords() {
    guard errors >= 0 else { return }
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Glibc.read(errors, &buffer, buffer.count)
      if count > 0 {
        text.append(contentsOf: buffer[..<count])
        if text.count > 2 * Self.keptWords { text.removeFirst(text.count - Self.keptWords) }
      } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
        close(errors)
        errors = -1
        return
      } else if errno == EAGAIN {
        return
      }
    }
  }

  /// What it said on standard error: lines.
  public var words: [String] {
    String(decoding: text.suffix(Self.keptWords), as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
  }

  /// Closes the pipe, waits for the program's end, and takes its last words.
  /// - Throws: ``ProgramError/failed(_:status:words:)`` unless it ended well; `CancellationError`.
  public func finish() throws {
    if direction == .input, data >= 0 {
      close(data)
      data = -1
    }
    let idle = data
    data = -1
    defer { data = idle }
    while errors >= 0 { try wait(for: 0) }
    while !reap() { try pause() }
    guard let status, status.isSuccess else {
      throw ProgramError.failed(name, status: status ?? .exited(0), words: words)
    }
  }

  private func pause() throws {
    do { try cancellation.sleep(.milliseconds(5)) } catch {
      stop()
      throw error
    }
  }

  /// Whether it has ended.
  private func reap() -> Bool {
    if status != nil { return true }
    var code: Int32 = 0
    let result = waitpid(pid, &code, WNOHANG)
    if result == pid { status = ProgramStatus(wait: code) }
    if result < 0, errno == ECHILD { status = .exited(255) }
    return status != nil
  }

  /// SIGTERM, then SIGKILL.
  private func stop() {
    guard !reap() else { return }
    kill(pid, SIGTERM)
    let deadline = ContinuousClock.now + Self.patience
    while !reap() {
      if ContinuousClock.now > deadline { kill(pid, SIGKILL) }
      usleep(5000)
    }
  }
}
