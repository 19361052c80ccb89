public import BackupModel
internal import DurableFiles

#if canImport(Glibc)
  import Glibc
#endif

/// Where a secret is kept. The configuration never holds the secret itself.
public enum SecretSource: Sendable, Hashable, CustomStringConvertible {
  case file(String)
  /// A credential of the service manager.
  case credential(String)
  case environment(String)

  public var description: String {
    switch self {
    case .file(let path): "file \"\(path)\""
    case .credential(let name): "credential \"\(name)\""
    case .environment(let name): "environment variable \"\(name)\""
    }
  }

  /// The secret, without the line end an editor leaves behind it.
  /// - Parameter credential: Reads a credential by its name: `Credentials.read(_:)` of the program.
  /// - Throws: ``ConfigurationError/secretUnreadable(source:problem:)``, or what `credential` throws.
  public func read(credential: (String) throws -> Secret) throws -> Secret {
    var bytes: [UInt8]
    switch self {
    case .file(let path):
      do throws(FileError) {
        bytes = try DurableFile.read(path, limit: 1 << 20)
      } catch {
        throw ConfigurationError.secretUnreadable(source: description, problem: error.detail ?? "")
      }
    case .credential(let name): bytes = try credential(name).reveal()
    case .environment(let name):
      guard let value = getenv(name) else {
        throw ConfigurationError.secretUnreadable(source: description, problem: "It is not set.")
      }
      bytes = Array(String(cString: value).utf8)
    }
    if bytes.last == 0x0A { bytes.removeLast() }
    if bytes.last == 0x0D { bytes.removeLast() }
    guard !bytes.isEmpty else {
      throw ConfigurationError.secretUnreadable(source: description, problem: "It is empty.")
    }
    return Secret(bytes)
  }
}
