internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// A child process in a process group of its own. Its output goes to unlinked files, not pipes: a server that it leaves
/// behind cannot keep a reader waiting for end of file.
public final class RunningProgram: Sendable {
  /// The program itself, also where it runs as another user: the switch is made by `exec`.
  public let pid: Int32
  private let command: String
  private let output: UnlinkedFile
  private let error: UnlinkedFile
  private let status = Mutex<ProgramStatus?>(nil)

  init(
    _ path: String, _ arguments: [String], environment: [String: String], input: String, user: ProgramUser,
    wrapper: [String] = []
  ) throws {
    let (inner, wrapped) = try user.wrap(try Program.locate(path), arguments)
    let command = wrapper + [inner] + wrapped
    let executable = try Program.locate(command[0])
    var variables = ProcessInfo.processInfo.environment
    // Another user must not be sent to the home directory of the one who runs the tests.
    if user != .current { variables["HOME"] = "/tmp" }
    variables.merge(environment) { $1 }
    let source = try UnlinkedFile(content: input)
    output = try UnlinkedFile()
    error = try UnlinkedFile()
    self.command = ([path] + arguments).joined(separator: " ")
    pid = try Self.spawn(
      executable, [executable] + command.dropFirst(), variables.map { "\($0)=\($1)" },
      descriptors: [source.descriptor, output.descriptor, error.descriptor])
  }

  /// What it has written so far.
  public var standardOutput: String { output.text }
  public var standardError: String { error.text }

  /// How it ended; nil while it runs.
  public var ended: ProgramStatus? {
    status.withLock { status in
      if let status { return status }
      var code: Int32 = 0
      guard waitpid(pid, &code, WNOHANG) == pid else { return nil }
      status = code & 0x7F == 0 ? .exited(code >> 8 & 0xFF) : .signalled(code & 0x7F)
      return status
    }
  }

  /// Sends a signal to the program; nothing happens where it has ended.
  public func signal(_ number: Int32) {
    if ended == nil { kill(pid, number) }
  }

  /// - Throws: ``TestSupportError/deadlinePassed(what:after:standardError:)``, after killing the process group.
  @discardableResult
  public func waitForExit(deadline: Duration = .seconds(60)) throws -> ProgramResult {
    do {
      try Poll.until(deadline, command) { ended != nil }
    } catch {
      end()
      throw TestSupportError.deadlinePassed(what: command, after: deadline, standardError: standardError)
    }
    return ProgramResult(
      status: ended ?? .exited(-1), standardOutput: standardOutput, standardError: standardError)
  }

  /// Returns once the output or error text contains `text`.
  /// - Throws: ``TestSupportError`` where the program ends or the deadline passes first.
  public func waitForOutput(containing text: String, deadline: Duration = .seconds(30)) throws {
    let what = "\(command): waiting for \"\(text)\""
    do {
      try Poll.until(deadline, what) {
        standardOutput.contains(text) || standardError.contains(text) || ended != nil
      }
    } catch {
      throw TestSupportError.deadlinePassed(what: what, after: deadline, standardError: standardError)
    }
    guard standardOutput.contains(text) || standardError.contains(text) else {
      throw TestSupportError.programFailed(
        command: what, status: ended ?? .exited(-1), standardOutput: standardOutput, standardError: standardError)
    }
  }

  /// Kills what is left of the process group and reaps the program.
  func end() {
    guard ended == nil else { return }
    kill(-pid, SIGKILL)
    while ended == nil { usleep(500) }
  }

  private static func spawn(
    _ path: String, _ arguments: [String], _ environment: [String], descriptors: [Int32]
  ) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, descriptor) in descriptors.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(target))
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var pid: pid_t = 0
    let result = withCStrings(arguments) { arguments in
      withCStrings(environment) { environment in
        posix_spawn(&pid, path, &actions, &attributes, arguments, environment)
      }
    }
    guard result == 0 else { throw TestSupportError.systemCall("posix_spawn", path: path, errno: result) }
    return pid
  }

  static func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let pointers = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
  }
}
