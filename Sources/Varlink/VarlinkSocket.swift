#if canImport(Glibc)
  import Glibc
#endif

/// Who is at the other end of a connection, as the kernel recorded it when they connected.
/// - SeeAlso: `unix(7)`, `SO_PEERCRED`; `socket(7)`, `SO_PEERGROUPS`.
public struct VarlinkPeer: Sendable, Hashable {
  public var processID: Int32
  public var userID: UInt32
  public var groupID: UInt32
  /// The groups the process had besides its primary one.
  public var supplementaryGroupIDs: [UInt32]

  public init(processID: Int32, userID: UInt32, groupID: UInt32, supplementaryGroupIDs: [UInt32] = []) {
    self.processID = processID
    self.userID = userID
    self.groupID = groupID
    self.supplementaryGroupIDs = supplementaryGroupIDs
  }

  public func isMember(of group: UInt32) -> Bool { groupID == group || supplementaryGroupIDs.contains(group) }

  /// `struct ucred`, which the Glibc module does not show without `_GNU_SOURCE`.
  private struct Credentials {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
  }
  private static let peerCredentials: CInt = 17
  private static let peerGroups: CInt = 59

  /// - Returns: Nil where the kernel does not say, which for a unix socket does not happen.
  init?(of socket: CInt) {
    var credentials = Credentials()
    var size = socklen_t(MemoryLayout<Credentials>.size)
    guard getsockopt(socket, SOL_SOCKET, Self.peerCredentials, &credentials, &size) == 0,
      size == MemoryLayout<Credentials>.size
    else { return nil }
    // The kernel allows 65536 groups; a peer with more than this is known by its first ones only, that is, may less.
    var groups = [UInt32](repeating: 0, count: 1024)
    var groupBytes = socklen_t(groups.count * MemoryLayout<UInt32>.size)
    let known = getsockopt(socket, SOL_SOCKET, Self.peerGroups, &groups, &groupBytes) == 0
    self.init(
      processID: credentials.pid, userID: credentials.uid, groupID: credentials.gid,
      supplementaryGroupIDs: known ? Array(groups.prefix(Int(groupBytes) / MemoryLayout<UInt32>.size)) : [])
  }
}

/// A unix stream socket; closed when it goes away. Close-on-exec.
struct VarlinkSocket: ~Copyable {
  let number: CInt

  init(path: String) throws(VarlinkError) {
    let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw .system(action: "make the socket", path: path, code: errno) }
    self.number = number
  }

  deinit { close(number) }

  func setNonBlocking() { Self.setNonBlocking(number) }

  static func setNonBlocking(_ number: CInt) {
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
  }

  /// - Returns: 0 or `errno`.
  func connect(to path: String) throws(VarlinkError) -> CInt {
    try Self.withAddress(path) { address, size in
      while Glibc.connect(number, address, size) != 0 {
        if errno != EINTR { return errno }
      }
      return 0
    }
  }

  /// - Returns: 0 or `errno`.
  func bind(to path: String) throws(VarlinkError) -> CInt {
    try Self.withAddress(path) { address, size in Glibc.bind(number, address, size) == 0 ? 0 : errno }
  }

  /// - Returns: Bytes taken, nil where the socket takes none now.
  /// - Throws: ``VarlinkError/callerGone``.
  static func send(_ bytes: ArraySlice<UInt8>, to number: CInt) throws(VarlinkError) -> Int? {
    while true {
      let count = bytes.withUnsafeBytes { Glibc.send(number, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
      if count >= 0 { return count }
      if errno == EAGAIN || errno == EWOULDBLOCK { return nil }
      if errno != EINTR { throw .callerGone }
    }
  }

  /// - Returns: Bytes that were there, none at the end of the stream, nil where nothing is there now.
  /// - Throws: ``VarlinkError/callerGone``.
  static func receive(upTo size: Int, from number: CInt) throws(VarlinkError) -> [UInt8]? {
    var failure: CInt = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
      var count: Int
      repeat { count = recv(number, buffer.baseAddress, size, 0) } while count < 0 && errno == EINTR
      failure = count < 0 ? errno : 0
      filled = max(count, 0)
    }
    if failure == EAGAIN || failure == EWOULDBLOCK { return nil }
    if failure != 0 { throw .callerGone }
    return bytes
  }

  private static func withAddress(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws(VarlinkError) -> CInt {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    let bytes = Array(path.utf8)
    guard bytes.count < capacity, !bytes.isEmpty, !bytes.contains(0) else {
      throw .pathTooLong(path: path, limit: capacity - 1)
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
