import BackupModel
import BlockingWork
import FoundationEssentials
import JobState
import Synchronization
import TestSupport
import Testing
import Transfer

@testable import Alerts

@Suite("The notifier", .serialized) struct AlertNotifierTests {
  private static let conditions = [Sample.condition("wal:main"), Sample.condition("job:nightly", .warning)]

  private func subjects(_ server: MailServer) throws -> [String] {
    try server.mails().map { String($0.subject.dropFirst("[backupd db1] ".count)) }
  }

  @Test("tells each channel once, and of the end once, over any number of restarts") func restarts() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, web in
        let routes = [
          NotifierTrial.route("mail", Sample.mail(mail)), NotifierTrial.route("slack", Sample.slack(web)),
        ]
        for number in 0..<3 {
          try await NotifierTrial.run(directory, routes) { trial in
            try trial.state.raise(Self.conditions[0])
            // Once this is told, whatever else was due has been.
            try trial.state.raise(Sample.condition("marker:\(number)"))
            for name in ["mail", "slack"] { try trial.waitUntilQuiet(name, told: number + 2) }
          }
        }
        for number in 3..<5 {
          try await NotifierTrial.run(directory, routes) { trial in
            try trial.state.resolve("wal:main")
            try trial.state.raise(Sample.condition("marker:\(number)"))
            for name in ["mail", "slack"] {
              try trial.wait(for: name) {
                $0.told["wal:main"]?.resolved != nil && $0.told["marker:\(number)"] != nil && $0.waiting.isEmpty
              }
            }
          }
        }
        let mails = try mail.mails().filter { $0.text.contains("condition wal:main") }
        #expect(mails.count == 2 && mails[1].inReplyTo == mails[0].messageID)
        #expect(try web.requests().count { $0.body.contains("condition wal:main") } == 2)
        #expect(try mail.mails().reduce(0) { $0 + $1.text.split(separator: "condition marker:").count - 1 } == 5)
      }
    }
  }

  @Test("tells a storm in one message") func storm() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, _ in
        let route = NotifierTrial.route("mail", Sample.mail(mail), gather: .seconds(2))
        try await NotifierTrial.run(directory, [route]) { trial in
          for number in 0..<40 { try trial.state.raise(Sample.condition("job:\(number)")) }
          // What is over before the gathering is, nobody hears of.
          for number in 0..<10 { try trial.state.resolve("job:\(number)") }
          try trial.waitUntilQuiet("mail", told: 30)
          for number in 10..<40 { try trial.state.resolve("job:\(number)") }
          try trial.waitUntilQuiet("mail", told: 0)
        }
        #expect(try subjects(mail) == ["30 conditions: 30 critical", "30 conditions: 30 resolved"])
      }
    }
  }

  @Test("tells a condition that flaps ten thousand times twice, and its last state last") func flaps() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, _ in
        let route = NotifierTrial.route("mail", Sample.mail(mail), gather: .seconds(1))
        // Twenty thousand writes that are durable at once: in memory, where that costs nothing.
        let memory = "/dev/shm/backupd-test-\(RandomID.random())"
        defer { try? FileManager.default.removeItem(atPath: memory) }
        try await NotifierTrial.run(memory, [route]) { trial in
          try trial.state.raise(Self.conditions[0])
          try trial.waitUntilQuiet("mail", told: 1)
          for _ in 0..<10_000 {
            try trial.state.resolve("wal:main")
            try trial.state.raise(Self.conditions[0])
          }
          try trial.state.resolve("wal:main")
          try trial.waitUntilQuiet("mail", told: 0)
        }
        let said = try subjects(mail)
        #expect(
          said.count == 2 && said.first?.hasPrefix("CRITICAL") == true && said.last?.hasPrefix("RESOLVED") == true)
      }
    }
  }

  @Test("loses nothing while the mail server is away, tells of it elsewhere, and sends once when it is back")
  func outage() async throws {
    try await TemporaryDirectory.run { directory in
      let port = try FreePort.find()
      try await Self.withReceiver(directory + "/web") { web in
        let channel = MailChannel(
          sender: "backupd@example.com", recipients: ["admin@example.com"],
          transport: .smtp(SMTPClient(SMTPServer(host: "127.0.0.1", port: Int(port), encryption: .none))))
        let routes = [NotifierTrial.route("mail", channel), NotifierTrial.route("slack", Sample.slack(web))]
        try await NotifierTrial.run(directory, routes, change: { $0.patience = .zero }) { trial in
          try trial.state.raise(Self.conditions[0])
          try Poll.until(.seconds(20), "the trouble told on the other channel") {
            try web.requests().contains { $0.body.contains("alerts do not get out on channel") }
          }
          try trial.state.resolve("wal:main")
          try Poll.until(.seconds(20), "both messages in the queue") { try trial.book("mail").waiting.count == 2 }
        }
        // The daemon is started anew while they wait.
        try await Self.withMail(directory + "/mail", port: port) { mail in
          try await NotifierTrial.run(directory, routes) { trial in
            try trial.waitUntilQuiet("mail", told: 0)
            try trial.waitUntilQuiet("slack", told: 0)
            #expect(trial.state.conditions() == [])
          }
          #expect(try mail.mails().count == 2)
          #expect(try mail.mails().map { $0.inReplyTo != nil } == [false, true])
          #expect(try mail.mails()[0].text.hasPrefix("CRITICAL: could not receive WAL"))
        }
        #expect(try web.requests().filter { $0.body.contains("alerts do not get out") }.count == 2)
        // Nothing of the address is in any file.
        for path in try FileManager.default.subpathsOfDirectory(atPath: directory + "/alerts") {
          let text = try String(contentsOfFile: directory + "/alerts/" + path, encoding: .utf8)
          #expect(!text.contains("verysecret"))
        }
      }
    }
  }

  @Test("says which recipients a server does not take mail for, while the others get it") func recipients() async throws
  {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, web in
        let channel = MailChannel(
          // The server takes no mail for an address that is none.
          sender: "backupd@example.com", recipients: ["admin@example.com", "a..b@@example.com"],
          transport: .smtp(SMTPClient(SMTPServer(host: "127.0.0.1", port: Int(mail.port), encryption: .none))))
        let routes = [NotifierTrial.route("mail", channel), NotifierTrial.route("slack", Sample.slack(web))]
        try await NotifierTrial.run(directory, routes) { trial in
          try trial.state.raise(Self.conditions[0])
          try Poll.until(.seconds(20), "the trouble told") {
            try web.requests().contains { $0.body.contains("mail does not reach") }
          }
        }
        #expect(try mail.mails().map(\.recipients) == [["admin@example.com"]])
      }
    }
  }

  /// A channel whose answer gets lost on the way back, the first time.
  private struct LostAnswer: AlertChannel {
    let kind = "smtp"
    let inner: MailChannel
    let calls = Calls()
    final class Calls: Sendable {
      private let count = Mutex(0)
      func next() -> Int {
        count.withLock { count in
          defer { count += 1 }
          return count
        }
      }
    }
    func deliver(_ message: AlertMessage, _ context: AlertContext, _ cancellation: Cancellation) throws -> AlertReceipt
    {
      let receipt = try inner.deliver(message, context, cancellation)
      if calls.next() == 0 { throw TransferError.tooSlow(host: "mail", floor: 1, patience: .seconds(30)) }
      return receipt
    }
  }

  @Test("sends again what was not acknowledged, under the same id") func lostAnswer() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, _ in
        let channel = LostAnswer(inner: Sample.mail(mail))
        try await NotifierTrial.run(directory, [NotifierTrial.route("mail", channel)]) { trial in
          try trial.state.raise(Self.conditions[0])
          try trial.waitUntilQuiet("mail", told: 1)
        }
        let mails = try mail.mails()
        #expect(mails.count == 2 && mails[0].messageID == mails[1].messageID)
      }
    }
  }

  @Test("tells on one channel while another hangs, and without a disk to remember it on") func hanging() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, web in
        try web.answer("hang 5")
        let routes = [
          NotifierTrial.route("slack", Sample.slack(web)), NotifierTrial.route("mail", Sample.mail(mail)),
        ]
        try await NotifierTrial.run(directory, routes) { trial in
          try trial.state.raise(Self.conditions[0])
          try trial.waitUntilQuiet("mail", told: 1)
          #expect(try trial.book("slack").waiting.count == 1)
          try trial.waitUntilQuiet("slack", told: 1)
          // Nothing can be written there any more.
          try FileManager.default.removeItem(atPath: directory + "/alerts")
          try trial.state.raise(Self.conditions[1])
          try Poll.until(.seconds(20), "the second mail") { try mail.mails().count == 2 }
          try trial.state.resolve(Self.conditions[1].id)
          try Poll.until(.seconds(20), "the third mail") { try mail.mails().count == 3 }
        }
        #expect(try subjects(mail).map { $0.prefix(8) } == ["CRITICAL", "WARNING:", "RESOLVED"])
      }
    }
  }

  @Test("puts other rules into force and forgets a channel that went") func reload() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, _ in
        let bad = NotifierTrial.route("bad", CommandChannel(["/nonesuch"]))
        try await NotifierTrial.run(directory, [bad], change: { $0.patience = .zero }) { trial in
          try trial.state.raise(Self.conditions[1])
          try Poll.until(.seconds(20), "the condition of the channel") {
            trial.state.conditions().contains { $0.id == "alert-channel:bad" }
          }
          let strict = NotifierTrial.route("mail", Sample.mail(mail), severity: .critical)
          trial.notifier.apply([strict])
          #expect(trial.state.conditions().map(\.id) == ["job:nightly"])
          try trial.state.raise(Self.conditions[0])
          try trial.waitUntilQuiet("mail", told: 1)
          trial.notifier.apply([NotifierTrial.route("mail", Sample.mail(mail))])
          try trial.waitUntilQuiet("mail", told: 2)
        }
        #expect(try mail.mails().map { $0.text.contains("wal:main") } == [true, false])
      }
    }
  }

  @Test("tests each channel and says what it answered") func tests() async throws {
    try await TemporaryDirectory.run { directory in
      try await Self.withServers(directory) { mail, web in
        let routes = [
          NotifierTrial.route("slack", Sample.slack(web)), NotifierTrial.route("mail", Sample.mail(mail)),
          NotifierTrial.route("command", CommandChannel(["/bin/false"])),
        ]
        try await NotifierTrial.run(directory, routes) { _ in }
        let state = try JobStateStore(directory: directory, now: .now())
        let notifier = try AlertNotifier(
          .init(directory: directory + "/alerts", host: "db1"), state: state, logger: .init(label: "test"))
        notifier.apply(routes)
        let results = await notifier.test()
        #expect(results.map(\.channel.rawValue) == ["command", "mail", "slack"])
        #expect(results.map(\.isDelivered) == [false, true, true])
        #expect(results.map(\.answer) == [nil, "250 2.0.0 queued as 0001", "200 ok"])
        #expect(results[0].error?.detail == "It ended with exit status 1.")
        #expect(await notifier.test(AlertChannelID(unchecked: "mail")).count == 1)
        #expect(await notifier.test(AlertChannelID(unchecked: "none")) == [])
        #expect(try subjects(mail) == ["test of channel mail", "test of channel mail"])
      }
    }
  }

  // MARK: Servers beside code that suspends

  private static func withServers(
    _ directory: String, _ body: @escaping @Sendable (MailServer, WebReceiver) async throws -> Void
  ) async throws {
    try await withMail(directory + "/mail") { mail in
      try await withReceiver(directory + "/web") { web in try await body(mail, web) }
    }
  }

  private static func withMail(
    _ directory: String, port: UInt16? = nil, _ body: @escaping @Sendable (MailServer) async throws -> Void
  ) async throws {
    try await MailServer.run(directory: directory, port: port) { try await body($0) }
  }

  private static func withReceiver(
    _ directory: String, _ body: @escaping @Sendable (WebReceiver) async throws -> Void
  ) async throws {
    try await WebReceiver.run(directory: directory) { try await body($0) }
  }
}
