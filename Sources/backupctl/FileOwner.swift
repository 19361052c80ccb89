import BackupModel
import DaemonConfiguration
import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Who gets what root makes.
struct FileOwner {
  var user: UInt32
  var group: UInt32
  var name: String

  static var isRoot: Bool { geteuid() == 0 }

  /// Nil where files stay with whoever runs this.
  static func forRepository(_ name: String?, _ settings: RepositorySettings) throws -> FileOwner? {
    if let name {
      guard let owner = FileOwner(named: name) else { throw UsageError("there is no user \"\(name)\"") }
      guard isRoot || owner.user == geteuid() else {
        throw UsageError(
          "cannot give files to user \"\(name)\"", detail: "Only root can give files away.",
          hint: "Run it with sudo, or as that user.")
      }
      return owner
    }
    guard isRoot else { return nil }
    let paths = settings.stores.compactMap(\.path) + settings.encryption.keyFiles
    return paths.lazy.compactMap { FileOwner(of: MadePaths.nearestExisting($0)) }.first { $0.user != 0 }
  }

  init?(named name: String) {
    guard let entry = getpwnam(name) else { return nil }
    self.init(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid, name: name)
  }

  func owns(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_uid == user
  }

  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    let entry = getpwuid(status.st_uid)
    self.init(
      user: status.st_uid, group: entry?.pointee.pw_gid ?? status.st_gid,
      name: entry.map { String(cString: $0.pointee.pw_name) } ?? "\(status.st_uid)")
  }

  private init(user: UInt32, group: UInt32, name: String) {
    self.user = user
    self.group = group
    self.name = name
  }
}

/// What `repository create` makes: the directories that were missing and what lies in the stores afterwards.
struct MadePaths {
  private var missing: [String]
  private let stores: [String]

  /// Looks before anything is made.
  init(for settings: RepositorySettings) {
    stores = settings.stores.compactMap(\.path)
    missing = []
    for store in stores { addMissing(store) }
    for path in settings.encryption.keyFiles { addMissing(DurableFile.parent(of: path)) }
  }

  mutating func add(_ path: String) { missing.append(path) }

  private mutating func addMissing(_ path: String) {
    var path = path
    while !DurableFile.exists(path) {
      missing.append(path)
      path = DurableFile.parent(of: path)
    }
  }

  static func nearestExisting(_ path: String) -> String {
    var path = path
    while !DurableFile.exists(path) { path = DurableFile.parent(of: path) }
    return path
  }

  func give(to owner: FileOwner) throws {
    for path in missing { try Self.give(path, to: owner) }
    // The stores were empty: whatever lies there now was made here.
    for store in stores {
      for name in try DurableFile.names(in: store) { try Self.giveTree(store + "/" + name, to: owner) }
    }
  }

  static func giveTree(_ path: String, to owner: FileOwner) throws {
    try give(path, to: owner)
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return }
    for name in try DurableFile.names(in: path) { try giveTree(path + "/" + name, to: owner) }
  }

  private static func give(_ path: String, to owner: FileOwner) throws {
    guard lchown(path, owner.user, owner.group) == 0 else { throw FileError.last("give to \(owner.name)", path) }
  }
}
