internal import BackupModel
public import BlockingWork
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// A store in a directory. Objects are files, written below `tmp/` and linked into place without replacing.
public struct PosixStore: ObjectStore {
  public let root: String
  public var location: String { "\"\(root)\"" }
  private let known = KnownDirectories()

  private let makesRoot: Bool

  /// - Parameters:
  ///   - root: An absolute path.
  ///   - makesRoot: Whether the first `put` makes it where it is missing. Only who creates a repository wants that: to
  ///     everybody else a root that is not there is a disk that is not mounted, and nothing may go below its mount point.
  public init(root: String, makesRoot: Bool = false) {
    self.root = root
    self.makesRoot = makesRoot
  }

  private static let directoryMode: UInt32 = 0o750
  private static let fileMode: UInt32 = 0o640

  private func path(_ name: ObjectName) -> String { root + "/" + name.text }

  public func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    try cancellation.check()
    let temporary = root + "/tmp/" + RandomID.random().description
    do {
      try makeDirectory(root + "/tmp")
      let target = path(name)
      try makeDirectory(DurableFile.parent(of: target))
      defer { unlink(temporary) }
      try writeTemporary(temporary, bytes)
      // link(2) fails where the name is taken, on every file system and for every racer; rename(2) would replace.
      guard link(temporary, target) == 0 else {
        let error = FileError.last("link into place", target)
        // Somebody removed the directory when it was empty: the next attempt makes it again.
        if error.code == ENOENT { known.remove(DurableFile.parent(of: target)) }
        guard error.code == EEXIST else { throw error }
        // A caller that finds its own bytes there counts them as stored: the name must be durable, whoever made it.
        try DurableFile.syncDirectory(of: target)
        throw StorageError.alreadyExists(name, in: location)
      }
      do {
        try DurableFile.syncDirectory(of: target)
      } catch {
        // Not durable, so not there: what is reported as failed is not left to be found.
        unlink(target)
        throw error
      }
    } catch let error as FileError {
      throw failure("write", name, error)
    }
  }

  private func writeTemporary(_ temporary: String, _ bytes: UnsafeRawBufferPointer) throws(FileError) {
    let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_EXCL, mode: Self.fileMode)
    try give(temporary)
    try file.writeAll(bytes)
    try file.sync()
    // What was written is not read again soon; leave the page cache to the database.
    posix_fadvise(file.number, 0, 0, POSIX_FADV_DONTNEED)
  }

  private func makeDirectory(_ directory: String) throws(FileError) {
    if known.contains(directory) { return }
    let isNew = !DurableFile.exists(directory)
    if isNew, directory == root, !makesRoot { throw FileError("open", root, code: ENOENT) }
    if isNew, directory != root { try makeDirectory(DurableFile.parent(of: directory)) }
    // Below the root one by one: it may go away at any moment.
    try DurableFile.makeDirectory(directory, mode: Self.directoryMode, makingParents: directory == root)
    if isNew { try give(directory) }
    known.insert(directory)
  }

  /// What root writes into another user's store is that user's: the daemon could not use it otherwise.
  private func give(_ path: String) throws(FileError) {
    guard geteuid() == 0 else { return }
    var owner = stat()
    guard stat(root, &owner) == 0 else { throw .last("stat", root) }
    guard owner.st_uid != 0 else { return }
    guard lchown(path, owner.st_uid, owner.st_gid) == 0 else { throw .last("change the owner of", path) }
  }

  public func size(of name: ObjectName) throws -> Int64? {
    var status = stat()
    guard stat(path(name), &status) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return try missing(name) }
      throw failure("stat", name, .last("stat", path(name)))
    }
    return Int64(status.st_size)
  }

  /// Nothing is "missing" from a root that is not there: an unmounted disk must not look like an empty store.
  private func missing(_ name: ObjectName) throws -> Int64? {
    var status = stat()
    guard stat(root, &status) == 0 else { throw failure("look for", name, .last("open", root)) }
    return nil
  }

  public func read(_ name: ObjectName, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws {
    do {
      let file = try Descriptor(opening: path(name), O_RDONLY)
      let count = try file.readAll(into: buffer, at: offset)
      guard count == buffer.count else {
        throw StorageError.truncated(
          name, in: location, expected: offset + Int64(buffer.count), found: offset + Int64(count))
      }
    } catch let error as FileError {
      if error.isMissing, try missing(name) == nil { throw StorageError.missing(name, in: location) }
      throw failure("read", name, error)
    }
  }

  public func list(below prefix: String) throws -> Listing {
    let directory = prefix.isEmpty ? root : root + "/" + prefix
    let names: [String]
    do {
      names = try DurableFile.names(in: directory)
    } catch let error where error.isMissing {
      var status = stat()
      guard stat(root, &status) == 0 else {
        throw StorageError.failed(
          "list", nil, in: location, cause: ErrorReport(FileError.last("open", root)), retry: .mayHelp)
      }
      return Listing()
    } catch {
      throw failure("list", nil, error)
    }
    var listing = Listing()
    for name in names {
      // Files that are not ours (lost+found, an editor's backup) are left alone and not seen.
      guard let object = ObjectName(prefix.isEmpty ? name : prefix + "/" + name) else { continue }
      var status = stat()
      guard stat(path(object), &status) == 0 else {
        if errno == ENOENT { continue }
        throw failure("stat", object, .last("stat", path(object)))
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        if !(prefix.isEmpty && name == "tmp") { listing.prefixes.append(name) }
      } else {
        let modified = Timestamp(
          microseconds: Int64(status.st_mtim.tv_sec) * 1_000_000 + Int64(status.st_mtim.tv_nsec) / 1000)
        listing.objects.append(.init(name: object, size: Int64(status.st_size), modified: modified))
      }
    }
    return listing
  }

  public func delete(_ name: ObjectName) throws {
    do {
      try DurableFile.remove(path(name))
      // Of directories that hold little for a short time too many would be left; one that is not empty stays.
      if name.text.contains("/leases/") || name.text.contains(".partial/") {
        if rmdir(DurableFile.parent(of: path(name))) == 0 { known.remove(DurableFile.parent(of: path(name))) }
      }
    } catch let error where error.isMissing {
      _ = try missing(name)
    } catch {
      throw failure("delete", name, error)
    }
  }

  /// Removes what writers that died left below `tmp/`, once it is a day old.
  public func sweep() throws {
    let directory = root + "/tmp"
    guard DurableFile.exists(directory) else { return }
    let limit = Timestamp.now().seconds - 86400
    for name in try DurableFile.names(in: directory) {
      var status = stat()
      let file = directory + "/" + name
      guard lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mtim.tv_sec < limit else {
        continue
      }
      unlink(file)
    }
  }

  /// Bytes free for this store, where it can be told.
  public func freeBytes() -> Int64? {
    var status = statvfs()
    guard statvfs(root, &status) == 0 else { return nil }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflow ? .max : Int64(clamping: bytes)
  }

  private func failure(_ action: String, _ name: ObjectName?, _ error: FileError) -> StorageError {
    let retry: StorageError.Retry = error.code == EACCES || error.code == EROFS ? .useless : .mayHelp
    return .failed(action, name, in: location, cause: ErrorReport(error), retry: retry)
  }
}
