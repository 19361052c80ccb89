internal import BackupModel
internal import DurableFiles
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// The places a restore fills: checks them, makes them, cleans up what an interrupted restore left there.
///
/// Nothing is deleted that a manifest does not name; none of the places themselves is ever removed, since each may be a
/// mount point.
struct Destination: Sendable {
  let layout: DirectoryLayout
  let ownership: Ownership

  /// Files besides those of the manifest that a restore writes.
  static let ownNames = [
    "recovery.signal", "standby.signal", "postgresql.auto.conf", "postgresql.auto.conf.tmp", "global/pg_control.tmp",
  ]

  /// Whether an interrupted restore left its marker here.
  var isInterrupted: Bool { get throws { try RestoreMarker.read(in: layout.directory) != nil } }

  /// - Parameter configurationFiles: Absolute paths that will be written outside the data directory.
  /// - Throws: ``RecoveryError`` where a place is not empty, or cannot be made.
  func check(configurationFiles: [String]) throws {
    try layout.checkRootsAreApart()
    for root in layout.roots {
      let found = try foreignNames(in: root)
      guard found.isEmpty else {
        throw RecoveryError.destinationNotEmpty(root.path, what: root.what, found: found)
      }
    }
    if let directory = layout.configurationDirectory {
      try checkParent(directory, "configuration directory")
      let taken = configurationFiles.filter { DurableFile.exists($0) }
      guard taken.isEmpty else {
        throw RecoveryError.destinationNotEmpty(directory, what: "configuration directory", found: taken)
      }
    }
  }

  /// What is in a place already, apart from a file system's `lost+found` and our own marker.
  private func foreignNames(in root: DirectoryLayout.Root) throws -> [String] {
    var status = stat()
    guard stat(root.path, &status) == 0 else {
      guard errno == ENOENT else { throw FileError.last("look at", root.path) }
      try checkParent(root.path, root.what)
      return []
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw FileError("restore into", root.path, code: ENOTDIR)
    }
    return try DurableFile.names(in: root.path).filter { $0 != "lost+found" && $0 != RestoreMarker.fileName }
  }

  private func checkParent(_ path: String, _ what: String) throws {
    guard DurableFile.exists(DurableFile.parent(of: path)) else {
      throw RecoveryError.parentMissing(path, what: what)
    }
  }

  /// Makes the places that are missing, the data directory first.
  func makeRoots() throws {
    for root in layout.roots { try makeRoot(root.path) }
  }

  func makeRoot(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 else {
      guard errno == EEXIST else { throw FileError.last("make the directory", path) }
      // PostgreSQL wants its own, and refuses a data directory that others may enter.
      try ownership.give(path)
      guard chmod(path, 0o700) == 0 else { throw FileError.last("set the mode of", path) }
      return
    }
    try ownership.give(path)
    try DurableFile.syncDirectory(of: path)
  }

  /// Takes away what the restore that left this marker wrote, file by file.
  /// - Throws: ``RecoveryError/leftovers(_:found:)`` where something else is there as well.
  func cleanUp(_ marker: RestoreMarker, repository: Repository) throws {
    let old = marker.layout(of: layout.directory)
    let lineage = Lineage(cluster: marker.cluster, systemIdentifier: marker.systemIdentifier)
    let reader = try BackupReader(repository, lineage, marker.backup)
    var directories: [String] = []
    try reader.forEachFile { file in
      guard let path = old.path(of: file) else { return }
      if file.kind == .directory {
        if file.path == "pg_wal", old.walDirectory != nil { try unlinkOwn(path) } else { directories.append(path) }
      } else {
        try unlinkOwn(path)
      }
    }
    for name in Self.ownNames { try unlinkOwn(old.directory + "/" + name) }
    // Deepest first; one that holds something else stays, and is found below.
    for directory in directories.reversed() { rmdir(directory) }
    for root in Set(old.roots + layout.roots) {
      let found = try foreignNames(in: root)
      guard found.isEmpty else { throw RecoveryError.leftovers(root.path, found: found) }
    }
  }

  private func unlinkOwn(_ path: String) throws {
    guard unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR else { throw FileError.last("remove", path) }
  }
}
