internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import ServerPrograms

#if canImport(Glibc)
  import Glibc
#endif

/// A program that gets bytes on its standard input and is to end soon.
struct ChildProgram {
  let path: String
  let arguments: [String]
  /// After it the program gets SIGTERM, and a little later SIGKILL.
  var deadline: Duration = .seconds(60)

  /// sysexits.h, EX_TEMPFAIL: "the user is invited to retry".
  private static let temporaryFailure: Int32 = 75
  private static let grace: Duration = .seconds(5)

  /// Runs it to its end.
  /// - Returns: What it wrote, its first line.
  /// - Throws: ``AlertError``, `CancellationError` once it has been ended.
  func run(input: [UInt8], _ cancellation: Cancellation) throws -> AlertReceipt {
    let source = try UnnamedFile(holding: input)
    let output = try UnnamedFile(holding: [])
    let pid = try spawn(source.descriptor, output.descriptor)
    let status = try wait(for: pid, cancellation)
    let text = AnswerText.line(output.content(limit: 4096))
    if status == 0 { return AlertReceipt(answer: text.isEmpty ? "exit status 0" : text) }
    let isExit = status & 0x7F == 0
    let code = isExit ? status >> 8 & 0xFF : status & 0x7F
    throw AlertError.commandFailed(
      path, ending: isExit ? "exit status \(code)" : "signal \(code)", output: text,
      isTransient: !isExit || code == Self.temporaryFailure)
  }

  private func spawn(_ input: Int32, _ output: Int32) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, descriptor) in [input, output, output].enumerated() {
      posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(target))
    }
    do {
      // A group of its own, so that what it starts ends with it.
      return try ProgramStart.spawn(
        [path] + arguments, &actions, flags: ProgramStart.signalFlags | Int32(POSIX_SPAWN_SETPGROUP))
    } catch let error as FileError {
      throw AlertError.commandMissing(path, reason: String(cString: strerror(error.code)) + ".")
    }
  }

  /// - Returns: As `wait` tells it.
  private func wait(for pid: pid_t, _ cancellation: Cancellation) throws -> Int32 {
    let begin = ContinuousClock.now
    var pause: Duration = .milliseconds(2)
    while true {
      if let status = Self.ended(pid) { return status }
      let isLate = ContinuousClock.now - begin > deadline
      if isLate || cancellation.isCancelled {
        end(pid)
        if isLate { throw AlertError.commandTooSlow(path, after: deadline) }
        throw CancellationError()
      }
      do { try cancellation.sleep(pause) } catch { continue }
      pause = min(pause * 2, .milliseconds(100))
    }
  }

  private func end(_ pid: pid_t) {
    kill(-pid, SIGTERM)
    let begin = ContinuousClock.now
    while ContinuousClock.now - begin < Self.grace {
      if Self.ended(pid) != nil { return }
      usleep(10_000)
    }
    kill(-pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }

  private static func ended(_ pid: pid_t) -> Int32? {
    var status: Int32 = 0
    let result = waitpid(pid, &status, WNOHANG)
    if result == pid { return status }
    // Somebody else has reaped it: how it ended nobody knows, which is no success.
    return result < 0 && errno == ECHILD ? SIGKILL : nil
  }
}

/// A file without a name, for what a child reads or writes: unlike a pipe it holds nobody up.
private struct UnnamedFile: ~Copyable {
  let descriptor: Int32

  init(holding bytes: [UInt8]) throws {
    let path = "/tmp/backupd-alert-\(RandomID.random())"
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw AlertError.noRoom(reason: String(cString: strerror(errno)) + ".")
    }
    unlink(path)
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + offset, $0.count - offset) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        close(descriptor)
        throw AlertError.noRoom(reason: String(cString: strerror(errno)) + ".")
      }
      offset += count
    }
    lseek(descriptor, 0, SEEK_SET)
  }

  deinit { close(descriptor) }

  func content(limit: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = pread(descriptor, &bytes, limit, 0)
    return count > 0 ? Array(bytes[..<count]) : []
  }
}
