import Foundation
import TestSupport
import Testing

/// One channel of each kind, told by a daemon: a mail server with TLS and a login, what stands for Slack, a signed webhook,
/// and a command.
struct AlertChannels: Sendable {
  static let names = ["mail", "slack", "hook", "script"]

  let site: BackupSite
  let mail: MailServer
  let web: WebReceiver
  private var commands: String { site.directory + "/commands" }

  /// Beginnings of ids of what all programs on the machine do to its disks and processors: no test's fault. A monitor that looks
  /// every second calls a server silent that a busy machine holds up for three.
  private static let ofTheMachine = ["wal-landing:", "wal-server:", "disk:", "server:"]

  /// Whether a condition beside the one that a test is about is nothing to complain of.
  static func isExpected(_ other: String, besides: [String]) -> Bool {
    (besides + ofTheMachine).contains { other.hasPrefix($0) }
  }

  /// What a channel was told of a condition: `raised`, `again`, `worsened`, `reminder` or `resolved`.
  struct Told: Hashable, CustomStringConvertible {
    var id: String
    var change: String
    var description: String { "\(id) \(change)" }
  }

  /// The servers, for the length of the closure, and the secrets in files of their own.
  static func run<Result>(_ site: BackupSite, _ body: (AlertChannels) throws -> Result) throws -> Result {
    let directory = site.directory + "/channels"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    return try WebReceiver.run(directory: directory + "/web") { web in
      try MailServer.run(.starttls, login: ("backupd", "s3cret-login"), directory: directory + "/mail") { mail in
        let channels = AlertChannels(site: site, mail: mail, web: web)
        try channels.prepare()
        return try body(channels)
      }
    }
  }

  private func prepare() throws {
    for (name, text) in [
      ("password", "s3cret-login"), ("webhook", web.url + "/services/s3cret-token"), ("key", "s3cret-key"),
    ] { try writeSecret(text, to: site.directory + "/" + name) }
    try FileManager.default.createDirectory(atPath: commands, withIntermediateDirectories: true)
    try ProgramUser.postgres.own(commands)
  }

  func writeSecret(_ text: String, to path: String) throws {
    try (text + "\n").write(toFile: path, atomically: false, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    try ProgramUser.postgres.own(path)
  }

  /// The part `alerts` of a configuration.
  var configuration: String {
    """
    alerts:
      mail:
        smtp: \(mail.url)
        tls: required
        ca-file: \(mail.certificate)
        user: backupd
        password: {file: \(site.directory)/password}
        from: backupd@example.com
        to: [admin@example.com, dba@example.com]
        gather: 1s
      slack: {webhook: {file: \(site.directory)/webhook}, gather: 1s}
      hook: {url: "\(web.url)/hook", secret: {file: \(site.directory)/key}, gather: 1s}
      script: {command: [/bin/sh, -c, "f=\(commands)/$$; cat > $f.tmp; mv $f.tmp $f.json"], gather: 1s}

    """
  }

  // MARK: What was told

  /// By the channels' ``names``.
  func told() throws -> [[Told]] { try [toldByMail(), toldToSlack(), toldToHook(), toldToScript()] }

  /// How often each channel was told of a condition, by the channels' ``names``.
  func counts(of id: String) throws -> [Int] { try told().map { $0.count { $0.id == id } } }

  private func toldByMail() throws -> [Told] {
    // Without Python where there is none to read.
    guard
      try FileManager.default.contentsOfDirectory(atPath: mail.directory + "/mails").contains(where: {
        $0.hasSuffix(".eml")
      })
    else { return [] }
    return try mail.mails().flatMap { mail in
      mail.text.components(separatedBy: "\n\n").compactMap { part in
        let lines = part.split(separator: "\n")
        return Self.told(subjects: lines.last?.dropLast() ?? "", headline: lines.first ?? "")
      }
    }
  }

  private func toldToSlack() throws -> [Told] {
    try requests("/services/").flatMap { body in
      try (JSON(parsing: body)["attachments"].array ?? []).compactMap { attachment in
        let subjects = attachment["blocks"][1]["elements"][0]["text"].text ?? ""
        let words = subjects.components(separatedBy: ", host ")
        return Self.told(subjects: words[0][...], headline: attachment["fallback"].text?[...] ?? "")
      }
    }
  }

  private static let marks = [
    ("RESOLVED", "resolved"), ("now ", "worsened"), ("still ", "reminder"), ("CRITICAL again:", "again"),
    ("WARNING again:", "again"),
  ]

  /// Of a text for people: `… condition server:main` and `RESOLVED after …`.
  private static func told(subjects: Substring, headline: Substring) -> Told? {
    guard let mark = subjects.range(of: "condition ", options: .backwards) else { return nil }
    let change = marks.first { headline.hasPrefix($0.0) }?.1 ?? "raised"
    return Told(id: String(subjects[mark.upperBound...]), change: change)
  }

  private func toldToHook() throws -> [Told] { try requests("/hook").flatMap(Self.changes) }

  private func toldToScript() throws -> [Told] {
    let names = try FileManager.default.contentsOfDirectory(atPath: commands).filter { $0.hasSuffix(".json") }
    // By the kernel's clock, which a daemon under another one cannot turn back.
    func written(_ path: String) throws -> Date {
      try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date ?? .distantPast
    }
    return try names.map { "\(commands)/\($0)" }.map { try (written($0), $0) }.sorted { $0.0 < $1.0 }
      .flatMap { try Self.changes(String(contentsOfFile: $0.1, encoding: .utf8)) }
  }

  private static func changes(_ document: String) throws -> [Told] {
    try (JSON(parsing: document)["changes"].array ?? []).map {
      Told(id: $0["id"].text ?? "", change: $0["change"].text ?? "")
    }
  }

  private func requests(_ path: String) throws -> [String] {
    try web.requests().filter { $0.path.hasPrefix(path) }.map(\.body)
  }

  // MARK: Waiting

  /// Waits until each channel was told of a condition so often, by the channels' ``names``.
  func wait(for counts: [Int], of id: String, deadline: Duration = .seconds(60)) throws {
    try Poll.until(deadline, "\(counts) messages of \(id)", every: .milliseconds(300)) {
      try self.counts(of: id) == counts
    }
  }

  /// Waits until each channel was told just these changes of a condition, in order.
  /// - Parameter besides: Beginnings of ids that may be told of as well; of others nothing is.
  func expectTold(
    _ changes: [String], of id: String, besides: [String] = [], deadline: Duration = .seconds(60),
    location: SourceLocation = #_sourceLocation
  ) throws {
    do {
      try Poll.until(deadline, "\(id) \(changes)", every: .milliseconds(100)) {
        // Mails are dear to read: last.
        try [toldToHook(), toldToScript(), toldToSlack()].allSatisfy { $0.count { $0.id == id } >= changes.count }
          && toldByMail().count { $0.id == id } >= changes.count
      }
    } catch TestSupportError.deadlinePassed {
      // What there is instead says more.
    }
    for (name, told) in zip(Self.names, try told()) {
      #expect(told.filter { $0.id == id }.map(\.change) == changes, "\(name): \(told)", sourceLocation: location)
      let others = told.filter { $0.id != id && !Self.isExpected($0.id, besides: besides) }
      #expect(others == [], "\(name) was told of others", sourceLocation: location)
    }
  }

  /// Returns once what these channels sent is acknowledged, durably: a daemon that is killed before sends it again.
  func waitUntilAcknowledged(_ names: String...) throws {
    try Poll.until(.seconds(20), "acknowledged messages") {
      try names.allSatisfy {
        let text = try String(contentsOfFile: "\(site.state)/alerts/\($0).json", encoding: .utf8)
        return try JSON(parsing: text)["waiting"] == .array([])
      }
    }
  }
}
