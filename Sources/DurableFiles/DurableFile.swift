internal import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// Whole files that are there completely or not at all, also after a power loss.
public enum DurableFile {
  /// Writes a temporary name, fsyncs, renames over `path`, fsyncs the directory. Durable on return; may be called again.
  public static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(FileError) {
    let temporary = path + ".tmp"
    do {
      let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
      try write(bytes, to: file)
      try file.sync()
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      let error = FileError.last("rename into place", path)
      unlink(temporary)
      throw error
    }
    try syncDirectory(of: path)
  }

  /// Creates a file that was not there. Durable on return.
  /// - Throws: ``FileError`` with `EEXIST` where it exists; nothing is changed then.
  public static func create(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(FileError) {
    let temporary = path + ".tmp-" + RandomID.random().description
    defer { unlink(temporary) }
    do {
      let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
      try write(bytes, to: file)
      try file.sync()
    }
    guard link(temporary, path) == 0 else { throw .last("create", path) }
    try syncDirectory(of: path)
  }

  /// - Parameter limit: Refuse a larger file rather than read it.
  public static func read(_ path: String, limit: Int64 = 64 << 20) throws(FileError) -> [UInt8] {
    let file = try Descriptor(opening: path, O_RDONLY)
    let size = try file.size()
    guard size <= limit else { throw FileError("read", path, code: EFBIG) }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = try bytes.withUnsafeMutableBufferPointer { buffer throws(FileError) in
      try file.readAll(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
    }
    return count == bytes.count ? bytes : Array(bytes[..<count])
  }

  /// Adds bytes at the end of a file, made where it is missing. Durable on return.
  public static func append(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(FileError) {
    let isNew = !exists(path)
    let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_APPEND, mode: mode)
    try write(bytes, to: file)
    try file.syncData()
    if isNew { try syncDirectory(of: path) }
  }

  public static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// Removes a file; a missing one is fine. Durable on return.
  public static func remove(_ path: String) throws(FileError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw .last("remove", path) }
    try syncDirectory(of: path)
  }

  /// Makes a directory and those above it, each durable.
  /// - Parameter makingParents: Whether those above it that are missing are made too.
  public static func makeDirectory(
    _ path: String, mode: UInt32 = 0o700, makingParents: Bool = true
  ) throws(FileError) {
    if path.isEmpty || path == "/" || path == "." { return }
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError("make the directory", path, code: ENOTDIR) }
      return
    }
    if makingParents { try makeDirectory(parent(of: path), mode: mode) }
    guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .last("make the directory", path) }
    try syncDirectory(of: path)
  }

  /// Names in a directory, sorted, without `.` and `..`.
  public static func names(in path: String) throws(FileError) -> [String] {
    guard let directory = opendir(path) else { throw .last("list", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        if errno != 0 { throw .last("list", path) }
        break
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Makes renames and creations in the directory that holds `path` durable.
  public static func syncDirectory(of path: String) throws(FileError) { try syncDirectory(parent(of: path)) }

  public static func syncDirectory(_ path: String) throws(FileError) {
    let directory = try Descriptor(opening: path, O_RDONLY | O_DIRECTORY)
    try directory.sync()
  }

  /// The directory part of a path: `/a` for `/a/b`, `.` for `b`.
  public static func parent(of path: String) -> String {
    var text = Substring(path)
    while text.count > 1 && text.last == "/" { text = text.dropLast() }
    guard let slash = text.lastIndex(of: "/") else { return "." }
    return slash == text.startIndex ? "/" : String(text[..<slash])
  }

  private static func write(_ bytes: [UInt8], to file: borrowing Descriptor) throws(FileError) {
    try bytes.withUnsafeBufferPointer { buffer throws(FileError) in
      try file.writeAll(UnsafeRawBufferPointer(buffer))
    }
  }
}
