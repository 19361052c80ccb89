import BackupModel
import Scheduling
import Testing

@testable import DaemonConfiguration

@Suite("Alerts in a configuration") struct AlertConfigurationTests {
  private static func problems(_ channel: String) -> [String] {
    Sample.problems(Sample.text() + "alerts:\n  c: {\(channel)}\n").map { $0.split(separator: " ", maxSplits: 1)[1] }
      .map(String.init)
  }
  private static let mail = "smtp: smtp://mail.example.com, from: a@b.c, to: d@e.f"

  @Test("are read, with what is meant where nothing is said") func full() throws {
    let text =
      Sample.text() + """
        tiers:
          tokens: {cluster: oauth, tables: [oauth_tokens], rpo: 5m, rto: 15m}
          audit:  {cluster: oauth, tables: [auth_audit_log], rpo: 1h, rto: 4h}
        alerts:
          mail: {smtp: smtp://localhost:25, from: backupd@example.com, to: [admin@example.com]}
          secure:
            smtp: smtps://[2001:db8::1]
            user: me
            password: {credential: mail}
            from: a@b.c
            to: [d@e.f, g@h.i]
            severity: critical
            clusters: oauth
            tiers: [tokens, audit]
            quiet-hours: {from: "22:00", to: "7:30", timezone: Europe/Berlin, critical: hold}
            remind: 1h
            gather: 30s
          slack: {webhook: {credential: slack-webhook}}
          hook: {url: "https://example.com/x?y=z", secret: {file: /k}}
          script: {command: [/usr/local/bin/page, --now]}
          local: {sendmail: /usr/sbin/sendmail, from: a@b.c, to: d@e.f}
        heartbeat: {url: {credential: ping}, every: 30s}
        """
    let configuration = try Sample.parse(text)
    let channels = configuration.alerts
    #expect(channels.map(\.id.rawValue) == ["mail", "secure", "slack", "hook", "script", "local"])
    #expect(channels.map(\.kind.name) == ["smtp", "smtp", "webhook", "url", "command", "sendmail"])
    guard case .smtp(let plain, let addresses) = channels[0].kind, case .smtp(let secure, _) = channels[1].kind else {
      Issue.record("no mail")
      return
    }
    #expect(plain.server.description == "smtp://localhost:25" && plain.encryption == .none)
    #expect(addresses == MailAddresses(from: "backupd@example.com", to: ["admin@example.com"]))
    #expect(secure.server.description == "smtps://[2001:db8::1]:465" && secure.encryption == .required)
    #expect(
      channels[1].quietHours
        == QuietHoursSettings(
          begin: 22 * 60, end: 7 * 60 + 30, timeZone: try TimeZoneRules(named: "Europe/Berlin"), critical: .hold))
    #expect(channels[1].severity == .critical && channels[1].clusters == [ClusterID(unchecked: "oauth")])
    #expect(channels[0].remind == .seconds(4 * 3600) && channels[0].gather == .seconds(10))
    #expect(channels[4].kind == .command(["/usr/local/bin/page", "--now"]))
    #expect(configuration.heartbeat?.address == .secret(.credential("ping")))
    #expect(configuration.heartbeat?.interval == .seconds(30))
    #expect(configuration.difference(from: try Sample.parse(Sample.text())).count == 10)
    #expect(configuration.difference(from: configuration) == [])
  }

  @Test(
    "are refused where they make no sense",
    arguments: [
      ("severity: warning", "alerts.c: must name exactly one of smtp, sendmail, webhook, url and command"),
      (mail + ", command: [/bin/true]", "alerts.c: must name exactly one of smtp, sendmail, webhook, url and command"),
      ("smtp: smtp://h, from: a@b.c", "alerts.c: the key \"to\" is missing"),
      ("smtp: http://h, from: a@b.c, to: d@e.f", "alerts.c.smtp: \"http://h\" is not the address of a mail server"),
      ("smtp: smtp://me:secret@h, from: a@b.c, to: d@e.f", "alerts.c.smtp: must not hold a user or a password"),
      ("smtp: smtp://h, from: x, to: d@e.f", "alerts.c.from: \"x\" is not a mail address"),
      ("smtp: smtp://h, from: a@b.c, to: [d@e.f, d@e.f]", "alerts.c.to[2]: is named twice"),
      (mail + ", tiers: [tokens]", "alerts.c.tiers: there is no tier \"tokens\""),
      (mail + ", user: u", "alerts.c: \"user\" and \"password\" go together"),
      (
        mail + ", user: u, password: {file: /p}, tls: try",
        "alerts.c.tls: would send the password to mail.example.com where anybody can read it"
      ),
      ("webhook: https://hooks.slack.com/x", "alerts.c.webhook: a secret is never written here"),
      ("webhook: {file: /w}, from: a@b.c", "alerts.c: \"from\" goes with smtp or sendmail, not with webhook"),
      ("url: ftp://x", "alerts.c.url: is not an address of the web"),
      ("url: \"https://u:p@x/\"", "alerts.c.url: must not hold a password"),
      ("command: /bin/true", "alerts.c.command: must be a list of a program and its arguments"),
      ("command: [true]", "alerts.c.command[1]: \"true\" is not an absolute path"),
      (mail + ", clusters: [nope]", "alerts.c.clusters: there is no cluster \"nope\""),
      (mail + ", severity: info", "alerts.c.severity: \"info\" is not one of warning, critical"),
      (
        mail + ", quiet-hours: {from: \"22:00\", to: \"24:00\"}",
        "alerts.c.quiet-hours.to: \"24:00\" is not a time of day"
      ),
      (mail + ", quiet-hours: {from: \"22:00\", to: \"22:00\"}", "alerts.c.quiet-hours: begin when they end"),
      (mail + ", gather: 1h", "alerts.c.gather: 1h is not between 0s and 10m"),
    ])
  func wrong(channel: String, problem: String) {
    let problems = Self.problems(channel)
    #expect(problems.contains { $0.hasPrefix(problem) }, "\(problems)")
    #expect(problems.count == 1, "\(problems)")
  }

  @Test("name secrets whose files others must not read") func secrets() throws {
    let text = Sample.text() + "alerts: {s: {webhook: {file: /nonesuch/w}}}\nheartbeat: {url: {file: /nonesuch/h}}\n"
    #expect(try Sample.parse(text).secretProblems().map(\.key) == ["alerts.s.webhook", "heartbeat.url"])
  }
}
