public import BackupModel
public import Transfer

/// Which directory of which SFTP server, and how we log in.
public struct SFTPSettings: Sendable {
  public var login: SFTPLogin
  /// Absolute, without a slash at its end; empty for `/`.
  public let path: String

  /// - Parameters:
  ///   - path: The store's directory, absolute; whoever reads it from a person checks that.
  ///   - knownHostsFile: OpenSSH's `known_hosts`; a host that is not in it is refused.
  ///   - privateKeyFile: Nil for the keys that the ssh agent holds.
  ///   - passphrase: Of the private key; nil where it has none.
  public init(
    host: String, port: Int = 22, user: String, path: String, knownHostsFile: String, privateKeyFile: String? = nil,
    passphrase: (@Sendable () throws -> Secret)? = nil
  ) {
    login = SFTPLogin(
      host: host, port: port, user: user, knownHostsFile: knownHostsFile, privateKeyFile: privateKeyFile,
      passphrase: passphrase)
    self.path = path.split(separator: "/").map { "/" + $0 }.joined()
  }
}
