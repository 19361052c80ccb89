internal import CLinux
internal import DurableFiles

#if canImport(Glibc)
  public import Glibc
#endif

/// Starts other programs.
public enum ProgramStart {
  /// A child begins with no signal blocked and none ignored, whatever this process does with them.
  public static let signalFlags = Int32(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)

  /// What a child gets of this process's environment.
  public enum Inheritance: Sendable {
    /// All: for who reads the repository, as a server does while it recovers.
    case all
    /// What does not begin with `AWS_` or `GOOGLE_`: programs that never read the repository are not to hold its stores'
    /// keys, least of all for as long as they run.
    case withoutStoreKeys

    /// - Parameter name: Of a variable.
    func passes(_ name: some StringProtocol) -> Bool {
      switch self {
      case .all: true
      case .withoutStoreKeys: !name.hasPrefix("AWS_") && !name.hasPrefix("GOOGLE_")
      }
    }
  }

  /// - Parameters:
  ///   - command: The program's path, then its arguments.
  ///   - inheriting: Of this process's environment.
  ///   - environment: Put over that; for the child alone.
  public static func spawn(
    _ command: [String], _ actions: inout posix_spawn_file_actions_t, inheriting: Inheritance = .withoutStoreKeys,
    environment: [String: String] = [:], flags: Int32 = signalFlags
  ) throws -> pid_t {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var pid: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var variables = Self.environment(environment, over: inheriting)
    defer { for variable in variables { free(variable) } }
    let result = posix_spawn(&pid, command[0], &actions, &attributes, arguments, &variables)
    guard result == 0 else { throw FileError("run", command[0], code: result) }
    return pid
  }

  private static func environment(
    _ more: [String: String], over inheritance: Inheritance
  ) -> [UnsafeMutablePointer<CChar>?] {
    var variables: [UnsafeMutablePointer<CChar>?] = []
    var position = backupd_environment()
    while let entry = position?.pointee {
      let name = String(cString: entry).prefix { $0 != "=" }
      if more[String(name)] == nil, inheritance.passes(name) { variables.append(strdup(entry)) }
      position = position?.advanced(by: 1)
    }
    for (name, value) in more { variables.append(strdup(name + "=" + value)) }
    variables.append(nil)
    return variables
  }

  /// Two ends that no other child gets: to read from, to write to.
  static func pipe(for path: String) throws -> [Int32] {
    var ends: [Int32] = [-1, -1]
    guard backupd_pipe2(&ends, O_CLOEXEC) == 0 else { throw FileError.last("make a pipe for", path) }
    return ends
  }

  /// Runs a program to its end: its standard output.
  public static func output(of path: String, _ arguments: [String]) throws -> String {
    let ends = try pipe(for: path)
    defer { close(ends[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    defer { close(ends[1]) }
    let pid = try spawn([path] + arguments, &actions)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    // What a version fits in is less than a pipe holds, so it can be read when the program has ended.
    var buffer = [UInt8](repeating: 0, count: 4096)
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    let count = read(ends[0], &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
  }
}
