internal import BackupModel
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Where each path of a manifest is written.
struct DirectoryLayout: Sendable, Hashable {
  /// A directory that a restore fills: it must be empty at the beginning.
  struct Root: Sendable, Hashable {
    var path: String
    /// "data directory", "tablespace location", "WAL directory".
    var what: String
  }

  let directory: String
  /// Tablespace locations by oid, as text; none for tablespaces that lie in `pg_tblspc` itself.
  let tablespaces: [String: String]
  let walDirectory: String?
  let configurationDirectory: String?
  /// What configuration files' paths begin with, cut off before they are written.
  let configurationPrefix: String

  init(
    directory: String, tablespaces: [String: String], walDirectory: String?, configurationDirectory: String?,
    configurationPrefix: String
  ) {
    self.directory = directory
    self.tablespaces = tablespaces
    self.walDirectory = walDirectory
    self.configurationDirectory = configurationDirectory
    self.configurationPrefix = configurationPrefix
  }

  /// The data directory first.
  var roots: [Root] {
    var roots = [Root(path: directory, what: "data directory")]
    roots += tablespaces.sorted { $0.key < $1.key }.map { Root(path: $0.value, what: "tablespace location") }
    if let walDirectory { roots.append(Root(path: walDirectory, what: "WAL directory")) }
    return roots
  }

  /// The absolute path of a manifest's entry; nil for a configuration file that is not to be written.
  func path(of file: ManifestFile) -> String? {
    if file.kind == .configuration {
      guard let configurationDirectory else { return nil }
      return configurationDirectory + "/" + file.path.dropFirst(configurationPrefix.count)
    }
    return path(of: file.path, isLink: file.kind == .symlink)
  }

  private func path(of path: String, isLink: Bool) -> String {
    if let walDirectory, path.hasPrefix("pg_wal/") { return walDirectory + "/" + path.dropFirst(7) }
    if !isLink, path.hasPrefix("pg_tblspc/") {
      let rest = path.dropFirst(10)
      let oid = rest.prefix { $0 != "/" }
      if let location = tablespaces[String(oid)] { return location + rest.dropFirst(oid.count) }
    }
    return directory + "/" + path
  }

  /// The root that holds an entry, for adding up sizes.
  func root(of file: ManifestFile) -> String {
    if file.kind == .configuration { return configurationDirectory ?? directory }
    let path = file.path
    if let walDirectory, path.hasPrefix("pg_wal/") { return walDirectory }
    if path.hasPrefix("pg_tblspc/"), let location = tablespaces[String(path.dropFirst(10).prefix { $0 != "/" })] {
      return location
    }
    return directory
  }

  /// The longest directory that all these absolute paths lie in, with a `/` at its end.
  static func commonDirectory(_ paths: [String]) -> String {
    guard var common = paths.first.map({ DurableFile.parent(of: $0) }) else { return "/" }
    for path in paths {
      while common != "/", !path.hasPrefix(common + "/") { common = DurableFile.parent(of: common) }
    }
    return common == "/" ? "/" : common + "/"
  }

  /// - Throws: ``RecoveryError/placesClash(_:_:)`` where one root lies within another.
  func checkRootsAreApart() throws {
    let paths = roots.map { Self.resolved($0.path) }
    for (index, one) in paths.enumerated() {
      for other in paths[(index + 1)...] where one == other || one.hasPrefix(other + "/") || other.hasPrefix(one + "/")
      {
        throw RecoveryError.placesClash(one, other)
      }
    }
  }

  /// The path with links in its existing part followed, so that two spellings of one place are seen as one.
  static func resolved(_ path: String) -> String {
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    let parent = DurableFile.parent(of: path)
    guard parent != path, parent != "." else { return path }
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    let base = resolved(parent)
    return base == "/" ? "/" + name : base + "/" + name
  }
}
