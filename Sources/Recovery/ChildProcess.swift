internal import CLinux
internal import DurableFiles
internal import ServerPrograms

#if canImport(Glibc)
  import Glibc
#endif

/// A program started by a restore.
struct ChildProcess {
  let pid: pid_t

  /// Starts a program in a session of its own, so that it outlives this one, with its output added to a file.
  ///
  /// A server gets the whole environment, for as long as it runs: its `restore_command` reads the repository, and the keys
  /// of a store may be in there.
  /// - Parameter owner: Who it runs as; nil is this process's user.
  init(
    _ path: String, _ arguments: [String], as owner: Ownership?, inheriting: ProgramStart.Inheritance = .all,
    directory: String, log: String
  ) throws {
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
    pid = try ProgramStart.spawn(
      command, &actions, inheriting: inheriting, flags: ProgramStart.signalFlags | 0x80)
  }

  /// How it ended, as `wait` tells; nil while it runs.
  func ended() -> Int32? {
    var status: Int32 = 0
    let result = waitpid(pid, &status, WNOHANG)
    if result == pid { return status }
    return result < 0 && errno == ECHILD ? 0 : nil
  }
}
