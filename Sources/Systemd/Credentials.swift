public import BackupModel

#if canImport(Glibc)
  import Glibc
#endif

/// Secrets the service manager hands over as files.
/// - SeeAlso: `systemd.exec(5)`, "Credentials"; `systemd-creds(1)`.
public struct Credentials: Sendable {
  /// Given on the command line, `--credential NAME=FILE`: names and files. They come first, being the plainest word.
  public let files: [String: String]
  private let directories: [String]

  /// - Parameters:
  ///   - environment: Variables of the process, of which `CREDENTIALS_DIRECTORY` counts.
  ///   - overrides: Files by credential name; sought before anything else.
  ///   - storeDirectory: Where credentials lie for programs that run outside the unit.
  public init(
    environment: [String: String], overrides: [String: String] = [:], storeDirectory: String = "/etc/credstore"
  ) {
    files = overrides
    directories = [environment["CREDENTIALS_DIRECTORY"], storeDirectory].compactMap { $0 }.filter { $0.hasPrefix("/") }
  }

  /// Files by the name of the credential, from `NAME=FILE` of a command line.
  /// - Throws: ``SystemdError/credentialOptionInvalid(_:)``.
  public static func files(_ options: [String]) throws(SystemdError) -> [String: String] {
    var files: [String: String] = [:]
    for text in options {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else { throw .credentialOptionInvalid(text) }
      files[parts[0]] = parts[1]
    }
    return files
  }

  /// The bytes of a credential, exactly as the file has them.
  /// - Throws: ``SystemdError``; a file that is there and cannot be read is an error, never passed over.
  public func read(_ name: String) throws(SystemdError) -> Secret {
    guard !name.isEmpty, !name.contains("/"), name != ".", name != "..", !name.utf8.contains(0) else {
      throw .credentialNameInvalid(name)
    }
    let paths = (files[name].map { [$0] } ?? []) + directories.map { $0 + "/" + name }
    for path in paths {
      if let bytes = try Self.bytes(of: path, name: name, mustExist: path == files[name]) { return Secret(bytes) }
    }
    throw .credentialMissing(name: name, searched: paths)
  }

  /// Nil where there is no such file.
  private static func bytes(of path: String, name: String, mustExist: Bool) throws(SystemdError) -> [UInt8]? {
    func failure() -> SystemdError {
      .credentialUnreadable(name: name, path: path, reason: String(cString: strerror(errno)))
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT && !mustExist { return nil }
      throw failure()
    }
    defer { close(descriptor) }
    // The service manager allows a mebibyte for all credentials of a unit together.
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + filled, $0.count - filled) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw failure() }
      if count == 0 { return Array(bytes[..<filled]) }
      filled += count
    }
    errno = EFBIG
    throw failure()
  }
}
