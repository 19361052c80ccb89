import BackupModel
import BlockingWork
import FoundationEssentials
import TestSupport
import Testing
import Transfer

@testable import Alerts

@Suite("Mail") struct MailTests {
  private static let login = (user: "backupd", password: "s3cret")

  private func logsIn(_ password: String = "s3cret") -> (inout SMTPServer) -> Void {
    {
      $0.user = Self.login.user
      $0.password = { Secret(password) }
    }
  }

  @Test("with TLS and a login reads as it was written", arguments: [MailServer.Security.starttls, .smtps])
  func encrypted(security: MailServer.Security) throws {
    try TemporaryDirectory.run { directory in
      try MailServer.run(security, login: Self.login, directory: directory) { server in
        let message = Sample.message(.raised, Sample.condition(summary: "could not reach „Straße“ \u{1F40C}"))
        let receipt = try Sample.mail(server, logsIn()).deliver(message, Sample.context, Cancellation())
        #expect(receipt == AlertReceipt(answer: "250 2.0.0 queued as 0001"))
        let mail = try #require(try server.mails().first)
        #expect(mail.from == "backupd@example.com" && mail.recipients == ["admin@example.com", "dba@example.com"])
        #expect(mail.isEncrypted && mail.user == "backupd")
        #expect(mail.subject == "[backupd db1] CRITICAL: could not reach „Straße“ \u{1F40C}")
        #expect(mail.messageID == "<\(message.id).backupd@example.com>" && mail.references == [])
        #expect(mail.date == "2026-11-02T03:00:00+00:00")
        #expect(mail.text == AlertText(message: message, context: Sample.context).plain)
        #expect(mail.text.contains("The server \"größer\" & <others> refused.\nWhat to do: Start it"))
        #expect(mail.html.contains("größer&quot; &amp; &lt;others&gt;"))
        #expect(mail.defects == [] && mail.isWellFormed && mail.longestLine <= 78)
      }
    }
  }

  @Test("of a condition is one thread") func threads() throws {
    try TemporaryDirectory.run { directory in
      try MailServer.run(directory: directory) { server in
        let channel = Sample.mail(server)
        let first = Sample.message()
        var messages = [first]
        for change in [AlertItem.Change.reminder, .resolved] {
          messages.append(
            Sample.message([AlertItem(change: change, condition: Sample.condition(), thread: first.id)]))
        }
        for message in messages { _ = try channel.deliver(message, Sample.context, Cancellation()) }
        let mails = try server.mails()
        #expect(mails.map(\.inReplyTo) == [nil, mails[0].messageID, mails[0].messageID])
        #expect(mails.map(\.references) == [[], [mails[0].messageID], [mails[0].messageID]])
        #expect(
          mails.map { String($0.subject.dropFirst(14).prefix(12)) } == ["CRITICAL: co", "still CRITIC", "RESOLVED aft"])
        #expect(!mails[0].isEncrypted)
      }
    }
  }

  @Test("of many conditions with long texts has lines that every server takes") func storm() throws {
    try TemporaryDirectory.run { directory in
      try MailServer.run(directory: directory) { server in
        let items = (0..<60).map { number in
          AlertItem(
            change: number % 3 == 0 ? .resolved : .raised,
            condition: Sample.condition("job:\(number)", summary: String(repeating: "schöne lange Zeile ", count: 50)),
            thread: .random())
        }
        _ = try Sample.mail(server).deliver(Sample.message(items), Sample.context, Cancellation())
        let mail = try #require(try server.mails().first)
        #expect(mail.subject == "[backupd db1] 60 conditions: 40 critical, 20 resolved")
        #expect(mail.references.count == 20 && mail.defects == [] && mail.isWellFormed && mail.longestLine <= 998)
      }
    }
  }

  @Test("is not sent where the server does not prove who it is, offers no TLS, or refuses the login") func refused()
    throws
  {
    try TemporaryDirectory.run { directory in
      try MailServer.run(.starttls, login: Self.login, directory: directory) { server in
        func deliver(_ channel: MailChannel) throws {
          _ = try channel.deliver(Sample.message(), Sample.context, Cancellation())
        }
        let unproven = #expect(throws: SMTPError.self) { try deliver(Sample.mail(server, logsIn(), trusts: false)) }
        #expect(unproven?.isTransient == false && unproven?.hint?.contains("ca-file") == true)
        let wrong = #expect(throws: SMTPError.self) { try deliver(Sample.mail(server, logsIn("guessed-pa55"))) }
        #expect(wrong?.summary == "mail server \"127.0.0.1:\(server.port)\" did not let \"backupd\" log in")
        #expect(wrong?.detail?.contains("535") == true)
        #expect(!"\(String(describing: wrong))\(ErrorReport(wrong!))".contains("guessed-pa55"))
        try server.answer("451 4.3.0 try later")
        let later = #expect(throws: SMTPError.self) { try deliver(Sample.mail(server, logsIn())) }
        #expect(later?.detail == "It said: 451 4.3.0 try later" && later?.isTransient == true)
        try server.answer("552 5.3.4 too big")
        let never = #expect(throws: SMTPError.self) { try deliver(Sample.mail(server, logsIn())) }
        #expect(never?.isTransient == false)
        try server.answer("drop")
        #expect(throws: TransferError.self) { try deliver(Sample.mail(server, logsIn())) }
        #expect(try server.mails().isEmpty)
      }
      try MailServer.run(directory: directory + "/plain") { server in
        let offered = #expect(throws: SMTPError.self) {
          _ = try Sample.mail(server, { $0.encryption = .required }).deliver(
            Sample.message(), Sample.context, Cancellation())
        }
        #expect(offered?.summary == "could not talk to mail server \"127.0.0.1:\(server.port)\" in confidence")
        // Where it need not encrypt, a server without is good enough.
        _ = try Sample.mail(server, { $0.encryption = .opportunistic }).deliver(
          Sample.message(), Sample.context, Cancellation())
        #expect(try server.mails().count == 1)
      }
    }
  }

  @Test("that comes late says so, and what was given up before it") func late() {
    var message = Sample.message()
    #expect(AlertText(message: message, context: Sample.context).remarks == [])
    message.attempts = 5
    message.lost = 2
    var context = Sample.context
    context.now = Sample.time + .seconds(7200)
    #expect(
      AlertText(message: message, context: context).remarks == [
        "Written at 2026-11-02T03:00:00Z: it could not be delivered for 2h.",
        "2 earlier messages could not be delivered and were given up.",
      ])
  }

  @Test("by sendmail gets there with its recipients") func sendmail() throws {
    try TemporaryDirectory.run { directory in
      let program = directory + "/sendmail"
      let script = "#!/bin/sh\nprintf '%s\\n' \"$*\" > \(directory)/words\nsed 's/$/\\r/' > \(directory)/0001.eml\n"
      try Program.install(script, at: program)
      let channel = MailChannel(
        sender: "backupd@example.com", recipients: ["admin@example.com", "dba@example.com"],
        transport: .sendmail(program))
      _ = try channel.deliver(Sample.message(), Sample.context, Cancellation())
      let words = try String(contentsOfFile: directory + "/words", encoding: .utf8)
      #expect(words == "-i -f backupd@example.com -- admin@example.com dba@example.com\n")
      let mail = try #require(try MailServer.mails(in: directory).first)
      #expect(mail.subject == "[backupd db1] CRITICAL: could not receive WAL" && mail.defects == [])
      try Program.install("#!/bin/sh\necho 'queue is full' >&2\nexit 75\n", at: program)
      let error = #expect(throws: AlertError.self) {
        _ = try channel.deliver(Sample.message(), Sample.context, Cancellation())
      }
      #expect(error?.isTransient == true && error?.detail == "It ended with exit status 75: queue is full")
    }
  }
}
