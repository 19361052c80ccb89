import BackupModel
import Scheduling

enum AlertKeys {
  static let smtp = Key(
    "smtp", .mailServer, .optional,
    "The mail server: `smtp://HOST:PORT`, or `smtps://HOST:PORT` where TLS comes first. Or `sendmail`, `webhook`, `url` or `command`."
  )
  static let tls = Key(
    "tls", .choice() as ValueType<MailEncryption>, .computed("`required`; `none` for a server on this host"),
    "Whether an `smtp://` server must encrypt (STARTTLS): `required`, `try` where it offers to, or `none`.")
  static let user = Key("user", .text, .optional, "Who logs in to the mail server.")
  static let password = Key("password", .secret, .optional, "Where that user's password is kept.")
  static let certificateFile = Key(
    "ca-file", .absolutePath, .optional, "Certificates in PEM to trust instead of the system's.")
  static let from = Key("from", .mailAddress, .optional, "Of mail: the sender's address.")
  static let to = Key("to", .listed(.mailAddress), .optional, "Of mail: the recipients' addresses.")
  static let sendmail = Key(
    "sendmail", .absolutePath, .optional, "A program that takes mail, such as `/usr/sbin/sendmail`.")
  static let webhook = Key(
    "webhook", .secret, .optional, "Where the address of an incoming webhook of Slack is kept, which is a secret.")
  static let url = Key(
    "url", .webAddress, .optional,
    "Where a program takes messages as JSON: `https://HOST/PATH`, or the place of a secret where the address holds one."
  )
  static let secret = Key(
    "secret", .secret, .optional,
    "Where the key is kept that signs what goes to `url`: the header `Backupd-Signature` proves where a message is from."
  )
  static let command = Key(
    "command", .command, .optional,
    "A program and its arguments, as a list; it gets the message as JSON on its standard input and exits with 0.")
  static let severity = Key(
    "severity", .choice() as ValueType<Condition.Severity>, .standard("warning"),
    "The least severe that is told here: `warning` or `critical`.")
  static let clusters = Key(
    "clusters", .listed(.name() as ValueType<ClusterID>), .optional,
    "Only what is about these clusters, and what is about none. Without it, all.")
  static let tiers = Key(
    "tiers", .listed(.name() as ValueType<TierID>), .optional,
    "Of what is about a tier, only that about these. Without it, all.")
  static let quietHours = Key(
    "quiet-hours", .quietHours, .optional,
    "Hours in which only what is critical is told: `{from: \"22:00\", to: \"07:00\", timezone: Europe/Berlin}`. What was held is told at their end, if it still holds. With `critical: hold` nothing is told before."
  )
  static let remind = Key(
    "remind", .duration("1m", "30d"), .standard("4h"),
    "What still holds is told once more after so long. What comes back within it is told once more, and must then stay away for longer to be told as over."
  )
  static let gather = Key(
    "gather", .duration("0s", "10m"), .standard("10s"),
    "Changes within so long go in one message, and what is over before is not told.")
  static let section = Section(
    path: "alerts.<channel>",
    sentence:
      "A way to tell people what is wrong, and that it is over: mail by `smtp` or `sendmail`, Slack by `webhook`, a program by `url` or `command`.",
    keys: [
      smtp.declaration, tls.declaration, user.declaration, password.declaration, certificateFile.declaration,
      from.declaration, to.declaration, sendmail.declaration, webhook.declaration, url.declaration, secret.declaration,
      command.declaration, severity.declaration, clusters.declaration, tiers.declaration, quietHours.declaration,
      remind.declaration, gather.declaration,
    ])
}

enum QuietHoursKeys {
  static let from = Key("from", .timeOfDay, .required, "When they begin.")
  static let to = Key("to", .timeOfDay, .required, "When they end.")
  static let timezone = Key("timezone", .timeZone, .optional, "The zone of both.")
  static let critical = Key(
    "critical", .choice() as ValueType<QuietCritical>, .standard("tell"), "What becomes of what is critical.")
  static let keys = [from.declaration, to.declaration, timezone.declaration, critical.declaration]
}

enum HeartbeatKeys {
  static let url = Key(
    "url", .webAddress, .required,
    "What is called with GET: `https://HOST/PATH`, or the place of a secret where the address holds one.")
  static let every = Key("every", .duration("1s", "1d"), .standard("1m"), "How often.")
  static let certificateFile = Key(
    "ca-file", .absolutePath, .optional, "Certificates in PEM to trust instead of the system's.")
  static let section = Section(
    path: "heartbeat",
    sentence:
      "Calls an address for as long as nothing critical is wrong and the daemon works, so that a service elsewhere tells when the calls end.",
    keys: [url.declaration, every.declaration, certificateFile.declaration])
}
