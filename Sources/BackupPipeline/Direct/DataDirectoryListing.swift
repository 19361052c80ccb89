internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Walks a data directory as `BASE_BACKUP` does, one directory at a time.
struct DataDirectoryListing {
  /// Something to back up.
  struct Item {
    /// As in the manifest.
    var path: String
    /// Where it lies.
    var source: String
    var status: stat
    var mode: UInt16 { UInt16(truncatingIfNeeded: status.st_mode & 0o7777) }
    var modified: Int64 { Int64(status.st_mtim.tv_sec) }
  }
  enum Entry {
    case directory(Item)
    case file(Item)
    case link(Item, target: String)
  }

  static let controlFile = "global/pg_control"

  private let root: String
  /// `PG_15_202209061`: the only directory of a tablespace that is this server's.
  private let tablespaceDirectory: String
  private let majorVersion: Int
  private let cancellation: Cancellation
  /// Links and special files that were passed over.
  private(set) var skipped: [String] = []
  /// Tablespaces found: OID and location.
  private(set) var tablespaces: [(oid: UInt32, location: String)] = []

  init(root: String, tablespaceDirectory: String, majorVersion: Int, cancellation: Cancellation) {
    self.root = root
    self.tablespaceDirectory = tablespaceDirectory
    self.majorVersion = majorVersion
    self.cancellation = cancellation
  }

  /// Hands out everything but `global/pg_control`, a directory before what is in it.
  /// - Throws: `FileError` for anything but a file that vanished; ``PipelineError/nameNotText(_:)``.
  mutating func walk(_ body: (Entry) throws -> Void) throws {
    try walk(directory: root, as: "", body)
  }

  private mutating func walk(directory: String, as prefix: String, _ body: (Entry) throws -> Void) throws {
    try cancellation.check()
    let names: [String]
    do {
      names = try Self.names(in: directory)
    } catch let error as FileError where error.isMissing && !prefix.isEmpty {
      // DROP DATABASE meanwhile: replay drops it again.
      return
    }
    let holdsRelations = Self.holdsRelations(prefix)
    let unlogged = holdsRelations ? Self.unlogged(names) : []
    for name in names where !BackupExclusions.excludes(name) {
      let path = prefix.isEmpty ? name : prefix + "/" + name
      if path == Self.controlFile { continue }
      if holdsRelations {
        if BackupExclusions.isTemporaryRelation(name) { continue }
        if let relation = RelationName(name), relation.fork != "init", unlogged.contains(relation.relation) { continue }
      }
      var status = stat()
      let source = directory + "/" + name
      guard lstat(source, &status) == 0 else {
        if errno == ENOENT { continue }
        throw FileError.last("stat", source)
      }
      try visit(Item(path: path, source: source, status: status), name, body)
    }
  }

  private mutating func visit(_ item: Item, _ name: String, _ body: (Entry) throws -> Void) throws {
    if item.path == "pg_wal" { return try visitWAL(item, body) }
    switch item.status.st_mode & S_IFMT {
    case S_IFREG: try body(.file(item))
    case S_IFDIR:
      try body(.directory(item))
      if BackupExclusions.emptiesDirectory(name) { return }
      if item.path.hasPrefix("pg_tblspc/"), item.path.split(separator: "/").count == 2 {
        return try visitTablespace(item.source, item.path, body)
      }
      try walk(directory: item.source, as: item.path, body)
    case S_IFLNK where item.path.hasPrefix("pg_tblspc/"): try visitTablespaceLink(item, name, body)
    default: skipped.append(item.path)
    }
  }

  /// WAL comes from the stores; what PostgreSQL expects to find in `pg_wal` is kept as empty directories.
  private func visitWAL(_ item: Item, _ body: (Entry) throws -> Void) throws {
    var item = item
    // A link to a directory elsewhere is restored as a directory.
    guard stat(item.source, &item.status) == 0 else { throw FileError.last("stat", item.source) }
    try body(.directory(item))
    for name in ["archive_status"] + (majorVersion >= 17 ? ["summaries"] : []) {
      try body(.directory(Item(path: "pg_wal/" + name, source: item.source + "/" + name, status: item.status)))
    }
  }

  private mutating func visitTablespaceLink(
    _ item: Item, _ name: String, _ body: (Entry) throws -> Void
  ) throws {
    guard let oid = UInt32(name) else {
      skipped.append(item.path)
      return
    }
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes {
      readlink(item.source, $0.bindMemory(to: CChar.self).baseAddress!, $0.count)
    }
    if count < 0 {
      if errno == ENOENT { return }
      throw FileError.last("read the link", item.source)
    }
    guard let target = String(validating: buffer[..<count], as: UTF8.self) else {
      throw PipelineError.nameNotText(item.source)
    }
    tablespaces.append((oid, target))
    try body(.link(item, target: target))
    try visitTablespace(target, item.path, body)
  }

  /// Of a tablespace only the directory of this server's version counts: another's may lie beside it.
  private mutating func visitTablespace(
    _ location: String, _ path: String, _ body: (Entry) throws -> Void
  ) throws {
    let source = location + "/" + tablespaceDirectory
    var status = stat()
    guard lstat(source, &status) == 0 else {
      if errno == ENOENT { return }
      throw FileError.last("stat", source)
    }
    let inside = path + "/" + tablespaceDirectory
    try body(.directory(Item(path: inside, source: source, status: status)))
    try walk(directory: source, as: inside, body)
  }

  /// `global`, `base/<oid>`, `pg_tblspc/<oid>/PG_…/<oid>`.
  private static func holdsRelations(_ path: String) -> Bool {
    let parts = path.split(separator: "/")
    switch parts.first {
    case "global": return parts.count == 1
    case "base": return parts.count == 2 && BackupExclusions.isNumber(parts[1])
    case "pg_tblspc": return parts.count == 4 && BackupExclusions.isNumber(parts[3])
    default: return false
    }
  }

  /// Relations with an initialisation fork: recovery makes the others from it.
  private static func unlogged(_ names: [String]) -> Set<String> {
    Set(names.compactMap { RelationName($0) }.filter { $0.fork == "init" }.map(\.relation))
  }

  /// Names in a directory, in no order.
  /// - Throws: ``PipelineError/nameNotText(_:)`` for a name that no manifest can hold: left out it would be lost.
  static func names(in directory: String) throws -> [String] {
    guard let handle = opendir(directory) else { throw FileError.last("list", directory) }
    defer { closedir(handle) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(handle) else {
        if errno != 0 { throw FileError.last("list", directory) }
        return names
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let name else { throw PipelineError.nameNotText(directory) }
      if name != "." && name != ".." { names.append(name) }
    }
  }
}
