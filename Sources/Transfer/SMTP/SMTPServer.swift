public import BackupModel

/// Which mail server takes our mails, how the way there is protected, and who we are.
public struct SMTPServer: Sendable {
  /// Whether the bytes on the way are encrypted.
  public enum Encryption: Sendable {
    /// From the first byte: `smtps://`.
    case implicit
    /// By STARTTLS, or no mail is sent.
    case required
    /// By STARTTLS where the server offers it.
    case opportunistic
    case none
  }
  public var host: String
  public var port: Int
  public var encryption: Encryption
  public var user: String?
  /// Read anew for each mail: it may be replaced while the daemon runs.
  public var password: (@Sendable () throws -> Secret)?

  public init(
    host: String, port: Int, encryption: Encryption, user: String? = nil,
    password: (@Sendable () throws -> Secret)? = nil
  ) {
    self.host = host
    self.port = port
    self.encryption = encryption
    self.user = user
    self.password = password
  }

  /// `mail.example.com:587`, for messages.
  public var address: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
  var url: String { (encryption == .implicit ? "smtps://" : "smtp://") + address }
}

/// What a mail server said once it had taken a mail.
public struct SMTPReceipt: Sendable, Hashable {
  /// Its last word: `250 2.0.0 queued as 0001`.
  public var answer: String
  /// Recipients it did not take the mail for, with its words; the others get it.
  public var refused: [Refusal]

  public struct Refusal: Sendable, Hashable {
    public var recipient: String
    public var reply: String
    public init(recipient: String, reply: String) {
      self.recipient = recipient
      self.reply = reply
    }
  }
}

/// A mail server spoke, and did not take a mail.
public enum SMTPError: RemoteError {
  /// - Parameter reply: Its last word, such as `535 5.7.8 Authentication credentials invalid`.
  case refused(address: String, reply: String)
  case loginDenied(address: String, user: String, reply: String)
  /// Encryption is required, and the server offers none or does not prove who it is.
  case unprotected(address: String, reason: String)

  public var summary: String {
    switch self {
    case .refused(let address, _): "mail server \"\(address)\" did not take the mail"
    case .loginDenied(let address, let user, _): "mail server \"\(address)\" did not let \"\(user)\" log in"
    case .unprotected(let address, _): "could not talk to mail server \"\(address)\" in confidence"
    }
  }
  public var detail: String? {
    switch self {
    case .refused(_, let reply), .loginDenied(_, _, let reply): "It said: \(reply)"
    case .unprotected(_, let reason): reason
    }
  }
  public var hint: String? {
    switch self {
    case .refused: nil
    case .loginDenied: "Check \"user\" and what \"password\" names."
    case .unprotected:
      "Name the authority of its certificate with \"ca-file\", or for a server on this host write tls: none."
    }
  }
  /// Whether the same mail may be taken later: replies of 4xx, and what a mended password or certificate would change.
  public var isTransient: Bool {
    switch self {
    case .refused(_, let reply): !reply.hasPrefix("5")
    case .loginDenied, .unprotected: false
    }
  }
}
