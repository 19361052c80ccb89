internal import Glibc

/// Who a program runs as. PostgreSQL refuses root, so tests that run as root switch; others stay who they are.
public enum ProgramUser: Sendable, Hashable {
  /// Whoever runs the tests.
  case current
  /// `postgres` where the tests run as root, otherwise whoever runs them: the owner of the servers.
  case postgres
  /// A user without any rights here: `nobody`. Needs root.
  case nobody

  /// Whether the tests run as root, so that other users can be taken on.
  public static var canSwitch: Bool { geteuid() == 0 }

  /// The program and arguments, wrapped so that they run as this user.
  func wrap(_ path: String, _ arguments: [String]) throws -> (path: String, arguments: [String]) {
    guard let name = try switchName else { return (path, arguments) }
    return (
      "/usr/bin/setpriv",
      ["--reuid", name, "--regid", try Self.primaryGroup(of: name), "--init-groups", "--", path] + arguments
    )
  }

  /// Gives a file or directory to this user; nothing to do where it is the one who runs the tests.
  public func own(_ path: String) throws {
    guard let name = try switchName else { return }
    let (user, group) = try Self.identifiers(of: name)
    try Errno.check(chown(path, user, group), "chown", path)
  }

  private var switchName: String? {
    get throws {
      switch self {
      case .current: return nil
      case .postgres: return Self.canSwitch ? "postgres" : nil
      case .nobody:
        guard Self.canSwitch else { throw TestSupportError.userSwitchImpossible(user: "nobody") }
        return "nobody"
      }
    }
  }

  private static func primaryGroup(of name: String) throws -> String { String(try identifiers(of: name).group) }

  private static func identifiers(of name: String) throws -> (user: uid_t, group: gid_t) {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 4096)
    let result = getpwnam_r(name, &entry, &buffer, buffer.count, &found)
    guard result == 0, found != nil else {
      throw TestSupportError.systemCall("getpwnam_r", path: name, errno: result)
    }
    return (entry.pw_uid, entry.pw_gid)
  }
}
