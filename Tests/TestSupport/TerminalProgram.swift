internal import FoundationEssentials
internal import Glibc

/// A program on a terminal of its own, with a person's keys: what it shows is read, what is sent is typed.
public final class TerminalProgram {
  /// `TIOCSPTLCK` and `TIOCGPTN`.
  private static let unlock: UInt = 0x4004_5431
  private static let getNumber: UInt = 0x8004_5430

  private let pid: Int32
  private let terminal: Int32
  private var bytes: [UInt8] = []
  private var status: ProgramStatus?

  /// Runs a program on a terminal beside the closure; it is killed when the closure ends, if it has not exited by then.
  /// - Parameter environment: Added to this process's own.
  public static func run<Result>(
    _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], columns: Int = 80, rows: Int = 24,
    as user: ProgramUser = .current, _ body: (TerminalProgram) throws -> Result
  ) throws -> Result {
    let program = try TerminalProgram(path, arguments, environment, columns, rows, user)
    defer { program.end() }
    return try body(program)
  }

  private init(
    _ path: String, _ arguments: [String], _ environment: [String: String], _ columns: Int, _ rows: Int,
    _ user: ProgramUser
  ) throws {
    let (executable, wrapped) = try user.wrap(try Program.locate(path), arguments)
    // The C library's functions for this are out of Swift's sight; these are the kernel's own.
    terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    try Errno.check(terminal < 0 ? -1 : 0, "open", "/dev/ptmx")
    var number: Int32 = 0
    try Errno.check(ioctl(terminal, Self.unlock, &number), "unlock", "/dev/ptmx")
    try Errno.check(ioctl(terminal, Self.getNumber, &number), "number", "/dev/ptmx")
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    try Errno.check(ioctl(terminal, UInt(TIOCSWINSZ), &size), "ioctl", "/dev/ptmx")
    var variables = ProcessInfo.processInfo.environment
    variables["TERM"] = "xterm"
    for unwanted in ["COLUMNS", "LINES", "NO_COLOR"] { variables[unwanted] = nil }
    variables.merge(environment) { $1 }
    pid = try Self.spawn(executable, [executable] + wrapped, variables.map { "\($0)=\($1)" }, on: "/dev/pts/\(number)")
    _ = fcntl(terminal, F_SETFL, O_NONBLOCK)
  }

  /// Everything it has written so far, control sequences and all.
  public var output: String {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(terminal, &buffer, buffer.count)
      // EIO: nobody has the other end open any more.
      guard count > 0 else { break }
      bytes += buffer.prefix(count)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// What stands on the screen if each drawing begins at its upper left corner: the last of them, without colours.
  public var screen: String {
    let last = output.components(separatedBy: "\u{1B}[H").last ?? ""
    var text = ""
    var isEscape = false
    for character in last.unicodeScalars {
      if isEscape {
        isEscape = !("A"..."z").contains(character) || character == "["
      } else if character == "\u{1B}" {
        isEscape = true
      } else if character != "\r" {
        text.unicodeScalars.append(character)
      }
    }
    return text
  }

  /// Types; `"\u{3}"` is Ctrl-C.
  public func type(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(terminal, bytes, bytes.count)
  }

  public func signal(_ number: Int32) {
    if !hasEnded { kill(pid, number) }
  }

  /// Returns once the condition holds.
  /// - Throws: ``TestSupportError/deadlinePassed(what:after:standardError:)`` with what it showed.
  public func wait(
    for what: String, deadline: Duration = .seconds(30), _ condition: (TerminalProgram) throws -> Bool
  ) throws {
    do {
      try Poll.until(deadline, what) { try condition(self) }
    } catch TestSupportError.deadlinePassed {
      throw TestSupportError.deadlinePassed(what: what, after: deadline, standardError: output)
    }
  }

  public func waitForExit(deadline: Duration = .seconds(30)) throws -> ProgramStatus {
    // A program cannot exit while its last words wait for a reader.
    try wait(for: "its end", deadline: deadline) { program in
      _ = program.output
      return program.hasEnded
    }
    return status ?? .exited(-1)
  }

  private var hasEnded: Bool {
    if status != nil { return true }
    var code: Int32 = 0
    guard waitpid(pid, &code, WNOHANG) == pid else { return false }
    status = code & 0x7F == 0 ? .exited(code >> 8 & 0xFF) : .signalled(code & 0x7F)
    return true
  }

  private func end() {
    if !hasEnded {
      kill(-pid, SIGKILL)
      while !hasEnded { usleep(500) }
    }
    close(terminal)
  }

  /// In a session of its own, whose terminal becomes what it opens first.
  private static func spawn(
    _ path: String, _ arguments: [String], _ environment: [String], on terminal: String
  ) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, terminal, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    let newSession: Int32 = 0x80
    posix_spawnattr_setflags(&attributes, Int16(newSession | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var pid: pid_t = 0
    let result = RunningProgram.withCStrings(arguments) { arguments in
      RunningProgram.withCStrings(environment) { environment in
        posix_spawn(&pid, path, &actions, &attributes, arguments, environment)
      }
    }
    guard result == 0 else { throw TestSupportError.systemCall("posix_spawn", path: path, errno: result) }
    return pid
  }
}
