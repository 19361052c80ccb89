internal import BackupModel
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Who owns restored files.
struct Ownership: Sendable, Hashable {
  var user: UInt32
  var group: UInt32
  var name: String
  /// Whether files are made by another user than who shall own them.
  var mustChange: Bool

  /// - Throws: ``RecoveryError``: files are never left to root, and only root gives files away.
  static func resolve(owner: String?, destination: String) throws -> Ownership {
    let me = geteuid()
    if let owner {
      guard let found = named(owner) else { throw RecoveryError.ownerUnknown(owner) }
      guard found.user != 0 else { throw RecoveryError.ownerForbidden("root") }
      guard me == 0 || me == found.user else { throw RecoveryError.ownerForbidden(owner) }
      return Ownership(user: found.user, group: found.group, name: owner, mustChange: me == 0)
    }
    if me != 0 { return Ownership(user: me, group: getegid(), name: name(of: me), mustChange: false) }
    // A destination made beforehand for its user counts where the directory above is root's.
    for path in [DurableFile.parent(of: destination), destination] {
      var status = stat()
      if stat(path, &status) == 0, status.st_uid != 0 {
        let name = name(of: status.st_uid)
        let group = named(name)?.group ?? status.st_gid
        return Ownership(user: status.st_uid, group: group, name: name, mustChange: true)
      }
    }
    guard DurableFile.exists(DurableFile.parent(of: destination)) else {
      throw RecoveryError.parentMissing(destination, what: "data directory")
    }
    throw RecoveryError.ownerNeeded(destination)
  }

  /// Gives a path to the owner; a link itself, not what it leads to.
  func give(_ path: String) throws {
    guard mustChange else { return }
    guard lchown(path, user, group) == 0 else { throw FileError.last("give to \(name)", path) }
  }

  private static func named(_ name: String) -> (user: UInt32, group: UInt32)? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16384)
    guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
    return (entry.pw_uid, entry.pw_gid)
  }

  static func name(of user: UInt32) -> String {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16384)
    guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return "\(user)" }
    return String(cString: entry.pw_name)
  }
}
