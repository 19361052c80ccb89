import Alerts
import BackupModel
import DaemonConfiguration
import Glibc
import Systemd
import Transfer

/// From the configuration's words to the channels that alerts take. Secrets are read when they are used: one that is
/// missing is told by the other channels, and keeps no backup from being taken.
enum AlertTranslation {
  static func routes(of configuration: Configuration, credentials: Credentials) -> [AlertRoute] {
    configuration.alerts.map { channel in
      AlertRoute(
        id: channel.id, rules: rules(channel), channel: self.channel(channel.kind, credentials),
        identity: "\(channel)")
    }
  }

  static func heartbeat(of configuration: Configuration, credentials: Credentials) -> HealthPing.Options? {
    configuration.heartbeat.map { heartbeat in
      HealthPing.Options(
        address: reading(heartbeat.address, credentials), interval: heartbeat.interval,
        client: client(heartbeat.certificateFile))
    }
  }

  /// What messages call this host.
  static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.isEmpty ? "localhost" : text
  }

  private static func rules(_ channel: AlertChannelSettings) -> ChannelRules {
    ChannelRules(
      severity: channel.severity, clusters: channel.clusters, tiers: channel.tiers,
      quietHours: channel.quietHours.map {
        QuietHours(begin: $0.begin, end: $0.end, zone: $0.timeZone, holdsCritical: $0.critical == .hold)
      },
      remind: channel.remind, gather: channel.gather)
  }

  private static func channel(_ kind: AlertChannelSettings.Kind, _ credentials: Credentials) -> any AlertChannel {
    switch kind {
    case .smtp(let mail, let addresses):
      return MailChannel(
        sender: addresses.from, recipients: addresses.to, transport: .smtp(mailClient(mail, credentials)))
    case .sendmail(let path, let addresses):
      return MailChannel(sender: addresses.from, recipients: addresses.to, transport: .sendmail(path))
    case .slack(let address, let file):
      return SlackChannel(webhook: reading(address, credentials), client: client(file))
    case .url(let address, let secret, let file):
      let key = secret.map { reading(.secret($0), credentials) }
      return WebhookChannel(address: reading(address, credentials), secret: key, client: client(file))
    case .command(let words): return CommandChannel(words)
    }
  }

  private static func mailClient(_ mail: MailServerSettings, _ credentials: Credentials) -> SMTPClient {
    let encryption: SMTPServer.Encryption =
      switch (mail.server.isImplicitTLS, mail.encryption) {
      case (true, _): .implicit
      case (false, .required): .required
      case (false, .opportunistic): .opportunistic
      case (false, .none): .none
      }
    let server = SMTPServer(
      host: mail.server.host, port: mail.server.port, encryption: encryption, user: mail.user,
      password: mail.password.map { reading(.secret($0), credentials) })
    return SMTPClient(server, options(mail.certificateFile))
  }

  private static func client(_ certificateFile: String?) -> HTTPClient { HTTPClient(options(certificateFile)) }

  private static func options(_ certificateFile: String?) -> TransferOptions {
    var options = TransferOptions()
    options.connections = 1
    options.certificateFile = certificateFile
    return options
  }

  private static func reading(_ address: AddressSource, _ credentials: Credentials) -> @Sendable () throws -> Secret {
    switch address {
    case .plain(let text): { Secret(text) }
    case .secret(let source): { try source.read { try credentials.read($0) } }
    }
  }
}
