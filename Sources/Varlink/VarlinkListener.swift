#if canImport(Glibc)
  import Glibc
#endif

/// A socket in the file system that callers connect to; its file is removed when it goes away.
struct VarlinkListener: ~Copyable {
  let socket: VarlinkSocket
  private let path: String
  /// Our own file: another daemon's socket at the same path is not ours to remove.
  private let identity: FileIdentity

  private struct FileIdentity: Equatable {
    var device: UInt64
    var inode: UInt64
  }

  /// The socket file has its owner, group and mode before anyone can connect: the kernel refuses connections until
  /// `listen`. A socket nobody answers on is replaced.
  static func listening(path: String, mode: UInt32, group: UInt32?) throws(VarlinkError) -> VarlinkListener {
    try makeDirectories(above: path)
    try removeDead(path)
    let socket = try VarlinkSocket(path: path)
    let code = try socket.bind(to: path)
    guard code == 0 else { throw .system(action: "make the socket", path: path, code: code) }
    do throws(VarlinkError) {
      let identity = try open(socket.number, path: path, mode: mode, group: group)
      socket.setNonBlocking()
      return VarlinkListener(socket: socket, path: path, identity: identity)
    } catch {
      unlink(path)
      throw error
    }
  }

  private init(socket: consuming VarlinkSocket, path: String, identity: FileIdentity) {
    self.socket = socket
    self.path = path
    self.identity = identity
  }

  private static func open(
    _ socket: CInt, path: String, mode: UInt32, group: UInt32?
  ) throws(VarlinkError) -> FileIdentity {
    // Group first: chown may clear mode bits.
    if let group, chown(path, uid_t.max, group) != 0 {
      throw .system(action: "give to group \(group) the socket", path: path, code: errno)
    }
    guard chmod(path, mode) == 0 else { throw .system(action: "set the mode of", path: path, code: errno) }
    guard let identity = identity(of: path) else { throw .system(action: "look at", path: path, code: errno) }
    guard listen(socket, 128) == 0 else { throw .system(action: "listen on", path: path, code: errno) }
    return identity
  }

  deinit {
    if let now = Self.identity(of: path), now == identity { unlink(path) }
  }

  /// - Returns: Nil where nobody waits.
  /// - Throws: `errno` as a ``VarlinkError`` where no descriptor is left.
  func accept() throws(VarlinkError) -> CInt? {
    while true {
      let number = Glibc.accept(socket.number, nil, nil)
      if number >= 0 { return number }
      switch errno {
      case EINTR, ECONNABORTED: continue
      case EAGAIN, EWOULDBLOCK: return nil
      default: throw .system(action: "accept a connection on", path: path, code: errno)
      }
    }
  }

  private static func identity(of path: String) -> FileIdentity? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
    return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  private static func removeDead(_ path: String) throws(VarlinkError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .system(action: "look at", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
    let probe = try VarlinkSocket(path: path)
    probe.setNonBlocking()
    let code = try probe.connect(to: path)
    // EAGAIN is a full queue: somebody listens, and is slow.
    if code == 0 || code == EAGAIN { throw .socketInUse(path: path) }
    guard code == ECONNREFUSED || code == ENOENT else { throw .system(action: "look at", path: path, code: code) }
    guard unlink(path) == 0 || errno == ENOENT else {
      throw .system(action: "remove the old socket", path: path, code: errno)
    }
  }

  private static func makeDirectories(above path: String) throws(VarlinkError) {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
    let directory = String(path[..<slash])
    if access(directory, F_OK) == 0 { return }
    try makeDirectories(above: directory)
    guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
      throw .system(action: "make the directory", path: directory, code: errno)
    }
  }
}
