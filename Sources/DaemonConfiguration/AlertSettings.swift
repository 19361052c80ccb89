public import BackupModel
public import Scheduling

/// One of `alerts`: a way to people or programs, and what goes there.
public struct AlertChannelSettings: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    case smtp(MailServerSettings, MailAddresses)
    /// Absolute path of a program with sendmail's options.
    case sendmail(String, MailAddresses)
    case slack(AddressSource, certificateFile: String?)
    /// - Parameter secret: What the body is signed with.
    case url(AddressSource, secret: SecretSource?, certificateFile: String?)
    /// A program's absolute path, and its arguments.
    case command([String])

    public var name: String {
      switch self {
      case .smtp: "smtp"
      case .sendmail: "sendmail"
      case .slack: "webhook"
      case .url: "url"
      case .command: "command"
      }
    }
  }
  public var id: AlertChannelID
  public var kind: Kind
  /// What is less severe is not told.
  public var severity: Condition.Severity
  /// Nil for all.
  public var clusters: [ClusterID]?
  public var tiers: [TierID]?
  public var quietHours: QuietHoursSettings?
  public var remind: Duration
  public var gather: Duration
}

/// The envelope of mails.
public struct MailAddresses: Sendable, Hashable {
  public var from: String
  public var to: [String]
}

/// How the way to a mail server is protected.
public enum MailEncryption: String, Sendable, Hashable, CaseIterable {
  case required
  case opportunistic = "try"
  case none
}

/// A server that mails are handed to.
public struct MailServerSettings: Sendable, Hashable {
  public var server: MailServerAddress
  /// Of a server whose address says so, TLS comes before the first word, whatever this says.
  public var encryption: MailEncryption
  public var user: String?
  public var password: SecretSource?
  public var certificateFile: String?
}

/// `smtp://host:port`, or `smtps://host:port`.
public struct MailServerAddress: Sendable, Hashable, CustomStringConvertible {
  public var host: String
  public var port: Int
  public var isImplicitTLS: Bool
  public var description: String {
    "\(isImplicitTLS ? "smtps" : "smtp")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
  }
  /// Whether nothing that is said to it leaves this host.
  var isLocal: Bool { ["localhost", "127.0.0.1", "::1"].contains(host) }
}

/// An address of the web, which may hold a secret.
public enum AddressSource: Sendable, Hashable, CustomStringConvertible {
  case plain(String)
  case secret(SecretSource)

  public var description: String {
    switch self {
    case .plain(let text): text
    case .secret(let source): source.description
    }
  }
}

/// Hours of each day in which only what cannot wait is told.
public struct QuietHoursSettings: Sendable, Hashable {
  /// Minutes since midnight.
  public var begin: Int
  public var end: Int
  public var timeZone: TimeZoneRules
  public var critical: QuietCritical
}

/// What becomes of critical conditions in quiet hours.
public enum QuietCritical: String, Sendable, Hashable, CaseIterable { case tell, hold }

/// The keys below `heartbeat`.
public struct HeartbeatSettings: Sendable, Hashable {
  public var address: AddressSource
  public var interval: Duration
  public var certificateFile: String?
}
