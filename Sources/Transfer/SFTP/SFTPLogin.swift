public import BackupModel

/// Which SFTP server, who we are to it, and by what it is known again.
public struct SFTPLogin: Sendable {
  public var host: String
  public var port: Int
  public var user: String
  /// OpenSSH's `known_hosts`; a host that is not in it is refused.
  public var knownHostsFile: String
  /// In a form that OpenSSH writes; nil for the keys that the ssh agent holds.
  public var privateKeyFile: String?
  /// Of the private key; nil where it has none.
  public var passphrase: (@Sendable () throws -> Secret)?

  public init(
    host: String, port: Int = 22, user: String, knownHostsFile: String, privateKeyFile: String? = nil,
    passphrase: (@Sendable () throws -> Secret)? = nil
  ) {
    self.host = host
    self.port = port
    self.user = user
    self.knownHostsFile = knownHostsFile
    self.privateKeyFile = privateKeyFile
    self.passphrase = passphrase
  }

  /// Host and port, for messages and for URLs.
  public var address: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }

  func url(_ path: String) -> String { "sftp://\(address)" + PercentEncoding.encoded(path, slash: true) }
}
