internal import BackupModel
internal import CLinux
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Finds the programs of a major version of PostgreSQL.
enum ServerProgram {
  /// - Parameter directory: Where the operator says they are; nil looks in the usual places.
  /// - Throws: ``RecoveryError/programMissing(_:version:searched:)``.
  static func find(_ name: String, version: Int, in directory: String?) throws -> String {
    var places: [String] = []
    if let directory {
      places = [directory]
    } else {
      if let value = getenv("BACKUPD_POSTGRES_BIN_\(version)") { places.append(String(cString: value)) }
      places += ["/usr/lib/postgresql/\(version)/bin", "/usr/pgsql-\(version)/bin"]
      let path = getenv("PATH").map { String(cString: $0) } ?? ""
      places += path.split(separator: ":").map(String.init)
    }
    for place in places {
      let program = place + "/" + name
      if access(program, X_OK) == 0, try self.version(of: program) == version { return program }
    }
    throw RecoveryError.programMissing(name, version: version, searched: places)
  }

  /// `postgres (PostgreSQL) 15.20 (Debian …)` is 15.
  private static func version(of program: String) throws -> Int? {
    let child = try ChildProcess.output(of: program, ["--version"])
    let words = child.split(separator: " ")
    guard let index = words.firstIndex(of: "(PostgreSQL)"), index + 1 < words.count else { return nil }
    return Int(words[index + 1].prefix { $0.isNumber })
  }
}

/// A program started by a restore.
struct ChildProcess {
  let pid: pid_t

  /// Starts a program in a session of its own, so that it outlives this one, with its output added to a file.
  /// - Parameter owner: Who it runs as; nil is this process's user.
  init(_ path: String, _ arguments: [String], as owner: Ownership?, directory: String, log: String) throws {
    var command = [path] + arguments
    if let owner {
      // A fork in a program with threads may only exec; changing user is left to a program made for it.
      command =
        [
          "/usr/bin/setpriv", "--reuid", "\(owner.user)", "--regid", "\(owner.group)",
          owner.name == "\(owner.user)" ? "--clear-groups" : "--init-groups", "--",
        ] + command
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_APPEND, 0)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    backupd_spawn_in_directory(&actions, directory)
    pid = try Self.spawn(command, &actions, flags: POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | 0x80)
  }

  private static func spawn(
    _ command: [String], _ actions: inout posix_spawn_file_actions_t, flags: Int32
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
    let result = posix_spawn(&pid, command[0], &actions, &attributes, arguments, backupd_environment())
    guard result == 0 else { throw FileError("run", command[0], code: result) }
    return pid
  }

  /// How it ended, as `wait` tells; nil while it runs.
  func ended() -> Int32? {
    var status: Int32 = 0
    let result = waitpid(pid, &status, WNOHANG)
    if result == pid { return status }
    return result < 0 && errno == ECHILD ? 0 : nil
  }

  /// Runs a program to its end: its standard output.
  static func output(of path: String, _ arguments: [String]) throws -> String {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw FileError.last("make a pipe for", path) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    defer { close(ends[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    defer { close(ends[1]) }
    let pid = try spawn([path] + arguments, &actions, flags: POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    // What a version fits in is less than a pipe holds, so it can be read when the program has ended.
    var buffer = [UInt8](repeating: 0, count: 4096)
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    let count = read(ends[0], &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
  }
}
