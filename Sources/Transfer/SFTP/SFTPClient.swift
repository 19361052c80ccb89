public import BackupModel
public import BlockingWork
internal import CCurl
internal import Synchronization

/// Talks to one SFTP server over connections that stay open, several transfers at once, each on the thread that asks.
///
/// The host's key is always checked. Paths are absolute.
public final class SFTPClient: Sendable {
  private let login: SFTPLogin
  private let pool: CurlPool
  private let passphrase = Mutex<Secret?>(nil)
  /// So many refusals in a row may be lost connections, which libcurl tells in no other words than a revoked key; two where
  /// nobody has been let in yet.
  private static let toleratedRefusals = 10
  /// Since the server last let us in.
  private let refusals = Mutex(toleratedRefusals - 2)
  public var counters: TransferCounters { pool.counters }
  /// Calls at once.
  public var connections: Int { pool.options.connections }

  public init(_ login: SFTPLogin, _ options: TransferOptions = TransferOptions()) {
    self.login = login
    pool = CurlPool(options)
  }

  /// Writes a file, replacing one of that name.
  ///
  /// The server says that the bytes are written, and not that they would outlive a power loss: libcurl knows no fsync.
  /// - Parameters:
  ///   - before: Done first.
  ///   - after: Done once all bytes are there. That one of these failed is known by ``SFTPError/Kind/commandRefused``.
  /// - Throws: ``SFTPError``, ``TransferError``, what the passphrase's closure throws, `CancellationError`.
  public func upload(
    _ bytes: UnsafeRawBufferPointer, to path: String, before: [SFTPCommand] = [], after: [SFTPCommand] = [],
    _ cancellation: Cancellation
  ) throws {
    let exchange = Exchange(sending: [bytes], into: .collect(limit: 0), isPlain: true)
    try transfer(path, exchange, bytes: bytes.count, cancellation) { handle in
      handle.set(CURLOPT_UPLOAD, 1)
      handle.set(CURLOPT_INFILESIZE_LARGE, size: Int64(bytes.count))
      handle.set(CURLOPT_NEW_FILE_PERMS, 0o640)
      handle.set(CURLOPT_NEW_DIRECTORY_PERMS, 0o750)
      handle.set(CURLOPT_QUOTE, before.map(\.line))
      handle.set(CURLOPT_POSTQUOTE, after.map(\.line))
    }
  }

  /// Does one after another, up to the first that fails.
  /// - Throws: As ``upload(_:to:before:after:_:)``.
  public func run(_ commands: [SFTPCommand], _ cancellation: Cancellation) throws {
    let exchange = Exchange(sending: [], into: .collect(limit: 0), isPlain: true)
    // A directory of which nothing is read: there is nothing to do but the commands.
    try transfer("/", exchange, bytes: 0, cancellation) { handle in
      handle.set(CURLOPT_NOBODY, 1)
      handle.set(CURLOPT_QUOTE, commands.map(\.line))
    }
  }

  /// - Returns: Bytes of a file.
  /// - Throws: As ``upload(_:to:before:after:_:)``.
  public func size(of path: String, _ cancellation: Cancellation) throws -> Int64 {
    try certainly { try size(of: path, $0, cancellation) }
  }

  private func size(of path: String, _ connection: ConnectionChoice, _ cancellation: Cancellation) throws -> Int64 {
    let exchange = Exchange(sending: [], into: .collect(limit: 0), isPlain: true)
    let size = try transfer(path, exchange, bytes: 0, over: connection, cancellation) { handle in
      handle.set(CURLOPT_NOBODY, 1)
    } finish: {
      $0.size(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T)
    }
    if size >= 0 { return size }
    // Of an empty file libcurl says that it does not know: it is empty if nothing can be read.
    let empty = Exchange(sending: [], into: .collect(limit: 0), isPlain: true)
    try transfer(path, empty, bytes: 0, over: connection, cancellation) { _ in }
    return 0
  }

  /// - Returns: When a file was written, by the server's clock and in whole seconds; nil where the server does not tell.
  /// - Throws: As ``upload(_:to:before:after:_:)``.
  public func modified(_ path: String, _ cancellation: Cancellation) throws -> Timestamp? {
    try certainly { connection in
      let exchange = Exchange(sending: [], into: .collect(limit: 0), isPlain: true)
      let seconds = try transfer(path, exchange, bytes: 0, over: connection, cancellation) { handle in
        handle.set(CURLOPT_NOBODY, 1)
        handle.set(CURLOPT_FILETIME, 1)
      } finish: {
        $0.size(CURLINFO_FILETIME_T)
      }
      // Zero is what libssh2 makes of an answer without times.
      return seconds > 0 ? Timestamp(seconds: seconds) : nil
    }
  }

  /// Fills a buffer that is not empty from a place in a file.
  /// - Returns: Bytes that were there.
  /// - Throws: As ``upload(_:to:before:after:_:)``.
  public func read(
    _ path: String, at offset: Int64, into buffer: UnsafeMutableRawBufferPointer, _ cancellation: Cancellation
  ) throws -> Int {
    try certainly { connection in
      let exchange = Exchange(sending: [], into: .memory(buffer), isPlain: true)
      try transfer(path, exchange, bytes: buffer.count, over: connection, cancellation) { handle in
        handle.set(CURLOPT_RANGE, "\(offset)-\(offset + Int64(buffer.count) - 1)")
      }
      return exchange.received
    }
  }

  /// - Returns: A directory as `ls -l` would print it.
  /// - Throws: As ``upload(_:to:before:after:_:)``.
  public func list(_ directory: String, _ cancellation: Cancellation) throws -> [UInt8] {
    try certainly { connection in
      let exchange = Exchange(sending: [], into: .collect(limit: 64 << 20), isPlain: true)
      // By its last slash libcurl knows a directory.
      let path = directory + (directory.hasSuffix("/") ? "" : "/")
      try transfer(path, exchange, bytes: 0, over: connection, cancellation) { _ in }
      return exchange.body
    }
  }

  /// A transfer is made again.
  public func addRetry() { pool.counters.add { $0.retries += 1 } }

  private enum ConnectionChoice { case any, new }

  /// Asks, and where something is said to be missing once more over a connection of its own, unless it is certain.
  ///
  /// Of a connection that is lost libcurl gives the last error that the server ever sent over it: a directory that is there
  /// would be missing because some file was, a while ago.
  private func certainly<Result>(_ ask: (ConnectionChoice) throws -> Result) throws -> Result {
    do {
      return try ask(.any)
    } catch let error as SFTPError where error.mayBeStale {
      return try ask(.new)
    }
  }

  private func transfer<Result>(
    _ path: String, _ exchange: Exchange, bytes: Int, over connection: ConnectionChoice = .any,
    _ cancellation: Cancellation,
    _ prepare: (CurlHandle) -> Void,
    finish: (CurlHandle) -> Result = { _ in () }
  ) throws -> Result {
    let secret = try keyPassphrase()
    return try pool.transfer(exchange, bytes: bytes, cancellation) { handle in
      handle.set(CURLOPT_URL, login.url(path))
      handle.set(CURLOPT_PROTOCOLS_STR, "sftp")
      handle.set(CURLOPT_PATH_AS_IS, 1)
      if case .new = connection { handle.set(CURLOPT_FRESH_CONNECT, 1) }
      identify(handle, secret)
      prepare(handle)
    } finish: { handle, code, text in
      if code == CURLE_OK {
        refusals.withLock { $0 = 0 }
        return finish(handle)
      }
      if code == CURLE_LOGIN_DENIED { throw refused(text) }
      throw SFTPError(code, text, login) ?? pool.failure(code, text, login.address, exchange)
    }
  }

  private func refused(_ text: String) -> SFTPError {
    // It may have been replaced together with the key.
    passphrase.withLock { $0 = nil }
    let count = refusals.withLock { refusals in
      refusals += 1
      return refusals
    }
    return SFTPError(count <= Self.toleratedRefusals ? .loginRefusedOnce : .loginRefused, login, reason: text + ".")
  }

  /// Who we are, and by what the server proves itself.
  private func identify(_ handle: CurlHandle, _ secret: Secret?) {
    handle.set(CURLOPT_USERNAME, login.user)
    // Without a function that decides otherwise libcurl refuses every host that is not in this file.
    handle.set(CURLOPT_SSH_KNOWNHOSTS, login.knownHostsFile)
    if let file = login.privateKeyFile {
      handle.set(CURLOPT_SSH_AUTH_TYPES, Int(CURLSSH_AUTH_PUBLICKEY))
      handle.set(CURLOPT_SSH_PRIVATE_KEYFILE, file)
      if let secret { handle.set(CURLOPT_KEYPASSWD, secret.revealText()) }
    } else {
      handle.set(CURLOPT_SSH_AUTH_TYPES, Int(CURLSSH_AUTH_AGENT))
    }
  }

  private func keyPassphrase() throws -> Secret? {
    guard let read = login.passphrase else { return nil }
    if let known = passphrase.withLock({ $0 }) { return known }
    let secret = try read()
    passphrase.withLock { $0 = secret }
    return secret
  }
}
