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
  /// - Throws: ``ConfigurationError/secretUnreadable(source:problem:)``, ``ConfigurationError/secretReadable(path:mode:)``,
  ///   or what `credential` throws.
  public func read(credential: (String) throws -> Secret) throws -> Secret {
    var bytes: [UInt8]
    switch self {
    case .file(let path):
      if let mode = SecretFile.leakingMode(path) {
        throw ConfigurationError.secretReadable(path: path, mode: mode)
      }
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

/// A file that holds a secret: its owner's, whose group may read it.
public enum SecretFile {
  /// - Returns: The file's mode where it lets others read or its group write; nil where it does not, or is not there.
  public static func leakingMode(_ path: String) -> UInt32? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o027 != 0 else { return nil }
    return status.st_mode & 0o7777
  }
}

extension Configuration {
  /// Files with secrets that this configuration names and that anybody may read, or that are not there.
  ///
  /// Not part of ``load(path:)``: a file may be read on a host that has none of them.
  public func secretProblems() -> [ConfigurationProblem] {
    let passwords = clusters.compactMap { cluster in
      cluster.password.map { ("clusters.\(cluster.id).password", $0, "write the password into it, with mode 0640") }
    }
    let alertSecrets = alerts.flatMap(\.secrets) + (heartbeat?.address.secrets("heartbeat.url") ?? [])
    return (passwords + encryptionSecrets + repository.stores.flatMap(\.secrets) + alertSecrets)
      .compactMap(Self.problem)
  }

  typealias NamedSecret = (key: String, source: SecretSource, advice: String)

  private var encryptionSecrets: [NamedSecret] {
    repository.encryption.recipients.flatMap { recipient -> [NamedSecret] in
      guard case .awsKMS(let kms) = recipient, let keys = kms.credentials else { return [] }
      let path = "repository.encryption.credentials"
      return [
        (path + ".access-key", keys.accessKey, "write the access key's id into it, with mode 0640"),
        (path + ".secret-key", keys.secretKey, "write the secret access key into it, with mode 0640"),
      ]
    }
  }

  private static func problem(_ secret: NamedSecret) -> ConfigurationProblem? {
    guard case .file(let path) = secret.source else { return nil }
    func problem(_ message: String, _ advice: String) -> ConfigurationProblem {
      ConfigurationProblem(line: 0, column: 0, key: secret.key, message: message, advice: advice)
    }
    if let mode = SecretFile.leakingMode(path) {
      return problem(
        "names \"\(path)\", whose mode is 0\(String(mode, radix: 8)): others may read it", "run chmod 640 \(path)")
    }
    guard access(path, F_OK) != 0, errno == ENOENT else { return nil }
    return problem("names \"\(path)\", which is not there", secret.advice)
  }
}
