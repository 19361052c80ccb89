internal import BackupModel
internal import CCurl

/// An SFTP server answered, and did not do what it was asked.
public struct SFTPError: RemoteError {
  public enum Kind: Sendable {
    /// No such file or directory.
    case missing
    /// The place to read from lies behind the end of the file.
    case beyondEnd
    /// One of the commands beside a transfer.
    case commandRefused
    case accessDenied
    case diskFull
    case hostKeyUnknown
    case loginRefused
    /// The same, or a connection that was lost during the login.
    case loginRefusedOnce
    /// Not what was asked for, or in no form that we know.
    case unreadable
  }
  public var kind: Kind
  private var login: SFTPLogin
  private var reason: String

  public init(_ kind: Kind, _ login: SFTPLogin, reason: String) {
    self.kind = kind
    self.login = login
    self.reason = reason
  }

  /// - Parameter text: libcurl's own words, which name no secret.
  /// - Returns: Nil for what is no answer of the server's.
  init?(_ code: CURLcode, _ text: String, _ login: SFTPLogin) {
    let kinds: [CURLcode.RawValue: Kind] = [
      CURLE_REMOTE_FILE_NOT_FOUND.rawValue: .missing, CURLE_BAD_DOWNLOAD_RESUME.rawValue: .beyondEnd,
      CURLE_QUOTE_ERROR.rawValue: .commandRefused, CURLE_REMOTE_ACCESS_DENIED.rawValue: .accessDenied,
      CURLE_REMOTE_DISK_FULL.rawValue: .diskFull, CURLE_PEER_FAILED_VERIFICATION.rawValue: .hostKeyUnknown,
      CURLE_LOGIN_DENIED.rawValue: .loginRefused,
    ]
    guard var kind = kinds[code.rawValue] else { return nil }
    // Commands fail with one code for all reasons.
    if kind == .commandRefused, text.contains("ermission denied") { kind = .accessDenied }
    self.init(kind, login, reason: text + ".")
  }

  /// "Operation failed" is SFTP's word for much: a full disk, a quota, a name that is taken.
  public var isTransient: Bool {
    switch kind {
    case .commandRefused, .diskFull, .loginRefusedOnce, .unreadable: true
    case .missing, .beyondEnd, .accessDenied, .hostKeyUnknown, .loginRefused: false
    }
  }

  /// Whether what the server is said to have answered may be an earlier answer, and the connection be lost.
  ///
  /// At the end of some of its texts libcurl gives libssh2's error: -31 is an answer by SFTP, another one is none.
  var mayBeStale: Bool { [.missing, .accessDenied].contains(kind) && !reason.hasSuffix(":: -31.") }

  public var summary: String {
    switch kind {
    case .missing, .beyondEnd: "could not find it on \"\(login.address)\""
    case .commandRefused, .diskFull: "\"\(login.address)\" could not do it"
    case .accessDenied: "\"\(login.address)\" denied access"
    case .hostKeyUnknown: "could not trust \"\(login.address)\""
    case .loginRefused, .loginRefusedOnce: "could not log in to \"\(login.address)\" as \"\(login.user)\""
    case .unreadable: "could not understand \"\(login.address)\""
    }
  }
  public var detail: String? {
    switch kind {
    case .hostKeyUnknown: "\"\(login.knownHostsFile)\" does not hold the key that the host has shown."
    default: reason
    }
  }
  public var hint: String? {
    switch kind {
    case .hostKeyUnknown:
      "Add it by \"ssh-keyscan -p \(login.port) \(login.host) >> \(login.knownHostsFile)\", once you have compared it "
        + "with the server's own \"ssh-keygen -lf\"."
    case .loginRefused, .loginRefusedOnce:
      login.privateKeyFile.map { "Check that \"\($0)\" is readable and that the server accepts it for this user." }
        ?? "Check that SSH_AUTH_SOCK names an agent that holds a key which the server accepts for this user."
    case .accessDenied: "Check who owns the store's directory on the server, and its modes."
    case .diskFull: "Free space on the server, then try again."
    case .missing: "Check the store's path, and that its disk is mounted on the server."
    case .beyondEnd, .commandRefused, .unreadable: nil
    }
  }
}
