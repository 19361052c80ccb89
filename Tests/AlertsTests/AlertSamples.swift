import BackupModel
import BlockingWork
import FoundationEssentials
import Glibc
import JobState
import Logging
import TestSupport
import Transfer

@testable import Alerts

enum Sample {
  static let time = Timestamp(seconds: 1_793_588_400)

  static func condition(
    _ id: String = "wal:main", _ severity: Condition.Severity = .critical, summary: String = "could not receive WAL"
  ) -> Condition {
    Condition(
      id: id, severity: severity, since: time - .seconds(90),
      report: ErrorReport(
        summary: summary, detail: "The server \"größer\" & <others> refused.", hint: "Start it: \"systemctl start\"."),
      cluster: ClusterID(unchecked: "main"), job: JobID(unchecked: "wal"))
  }

  static func message(_ items: [AlertItem]) -> AlertMessage { AlertMessage(created: time, items: items) }
  static func message(_ change: AlertItem.Change = .raised, _ condition: Condition = condition()) -> AlertMessage {
    message([AlertItem(change: change, condition: condition)])
  }

  static let context = AlertContext(host: "db1", channel: AlertChannelID(unchecked: "mail"), now: time)

  static func mail(_ server: MailServer, _ change: (inout SMTPServer) -> Void = { _ in }, trusts: Bool = true)
    -> MailChannel
  {
    let encryption: SMTPServer.Encryption =
      switch server.security {
      case .starttls: .required
      case .smtps: .implicit
      case .none: .none
      }
    var address = SMTPServer(host: "127.0.0.1", port: Int(server.port), encryption: encryption)
    change(&address)
    var options = TransferOptions()
    if trusts, server.security != .none { options.certificateFile = server.certificate }
    return MailChannel(
      sender: "backupd@example.com", recipients: ["admin@example.com", "dba@example.com"],
      transport: .smtp(SMTPClient(address, options)))
  }

  static func slack(_ receiver: WebReceiver, path: String = "/services/T0/B0/verysecret") -> SlackChannel {
    SlackChannel(webhook: { Secret(receiver.url + path) }, client: HTTPClient())
  }
  static func webhook(_ receiver: WebReceiver, secret: String? = nil) -> WebhookChannel {
    var key: (@Sendable () throws -> Secret)?
    if let secret { key = { Secret(secret) } }
    return WebhookChannel(address: { Secret(receiver.url + "/hook") }, secret: key, client: HTTPClient())
  }
}

/// A notifier on a state directory of its own, running beside a closure.
struct NotifierTrial: Sendable {
  let state: JobStateStore
  let notifier: AlertNotifier
  let directory: String

  static func run(
    _ directory: String, _ routes: [AlertRoute], change: (inout AlertNotifier.Options) -> Void = { _ in },
    _ body: @escaping @Sendable (NotifierTrial) throws -> Void
  ) async throws {
    var options = AlertNotifier.Options(directory: directory + "/alerts", host: "db1")
    change(&options)
    let state = try JobStateStore(directory: directory, now: .now())
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let notifier = try AlertNotifier(options, state: state, logger: logger)
    let trial = NotifierTrial(state: state, notifier: notifier, directory: directory)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await notifier.run() }
      notifier.apply(routes)
      try await Lane(label: "test").run { _ in try body(trial) }
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  static func route(
    _ name: String, _ channel: any AlertChannel, gather: Duration = .milliseconds(100),
    remind: Duration = .seconds(3600), severity: Condition.Severity = .warning
  ) -> AlertRoute {
    AlertRoute(
      id: AlertChannelID(unchecked: name), rules: ChannelRules(severity: severity, remind: remind, gather: gather),
      channel: channel, identity: "\(name) \(gather) \(remind) \(severity)")
  }

  /// Returns once so many conditions count as holding on a channel, and all messages are acknowledged.
  func waitUntilQuiet(_ channel: String, told: Int) throws {
    try wait(for: channel) { $0.waiting.isEmpty && $0.told.values.count { $0.resolved == nil } == told }
  }

  func wait(for channel: String, _ isReached: (ChannelBook) -> Bool) throws {
    try Poll.until(.seconds(90), "a state of channel \(channel)") { isReached(try book(channel)) }
  }

  func book(_ channel: String) throws -> ChannelBook {
    try StateFile.read(ChannelBook.self, from: "\(directory)/alerts/\(channel).json", now: .now()) ?? ChannelBook()
  }
}
