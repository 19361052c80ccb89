import BackupModel
import BlockingWork
import Foundation
import TestSupport
import Testing
import Transfer

@testable import Alerts

@Suite("Slack") struct SlackTests {
  @Test("gets what its published rules allow, by the severity's colour") func rules() throws {
    try TemporaryDirectory.run { directory in
      try WebReceiver.run(directory: directory) { receiver in
        let nasty = String(repeating: "<!channel> a & b 🐌 ", count: 400)
        let messages = [
          Sample.message(), Sample.message(.resolved), Sample.message([]),
          Sample.message(.again, Sample.condition("x", .warning, summary: nasty)),
          Sample.message(
            (0..<70).map { AlertItem(change: .raised, condition: Sample.condition("job:\($0)", summary: nasty)) }),
        ]
        for message in messages {
          let receipt = try Sample.slack(receiver).deliver(message, Sample.context, Cancellation())
          #expect(receipt.answer == "200 ok")
        }
        let requests = try receiver.requests()
        #expect(requests.map(\.path) == Array(repeating: "/services/T0/B0/verysecret", count: 5))
        for request in requests { #expect(try SlackRules.problems(request.body) == []) }
        func colours(_ body: String) throws -> [String] {
          let root = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
          return (root?["attachments"] as? [[String: Any]] ?? []).compactMap { $0["color"] as? String }
        }
        #expect(try requests.prefix(4).map { try colours($0.body) } == [["#c62828"], ["#2e7d32"], [], ["#f9a825"]])
        #expect(requests[4].body.contains("50 more conditions"))
        #expect(requests[0].body.contains("CRITICAL: could not receive WAL"))
        #expect(requests[0].body.contains("&lt;others&gt; refused."))
      }
    }
  }

  @Test("that refuses is told of without the webhook's address") func secret() throws {
    try TemporaryDirectory.run { directory in
      try WebReceiver.run(directory: directory) { receiver in
        try receiver.answer("403 invalid_token", "429 Retry-After: 7", "500")
        var errors: [AlertError] = []
        for _ in 0..<3 {
          do {
            _ = try Sample.slack(receiver).deliver(Sample.message(), Sample.context, Cancellation())
          } catch let error as AlertError { errors.append(error) }
        }
        #expect(errors.map(\.isTransient) == [false, true, true])
        #expect(errors.map(\.retryAfter) == [nil, .seconds(7), nil])
        #expect(errors.first?.detail == "It answered 403: invalid_token" && errors.first?.hint != nil)
        #expect(!errors.map { "\($0) \(ErrorReport($0))" }.joined().contains("verysecret"))
      }
      let gone = #expect(throws: TransferError.self) {
        let channel = SlackChannel(webhook: { Secret("http://127.0.0.1:1/services/verysecret") }, client: HTTPClient())
        _ = try channel.deliver(Sample.message(), Sample.context, Cancellation())
      }
      #expect(gone.map { "\($0) \(ErrorReport($0))".contains("verysecret") } == false)
      let wrong = #expect(throws: AlertError.self) {
        let channel = SlackChannel(webhook: { Secret("verysecret") }, client: HTTPClient())
        _ = try channel.deliver(Sample.message(), Sample.context, Cancellation())
      }
      #expect(wrong.map { "\($0) \(ErrorReport($0))".contains("verysecret") } == false)
    }
  }
}

@Suite("A webhook") struct WebhookTests {
  @Test("gets JSON whose signature another program finds right") func signature() throws {
    try TemporaryDirectory.run { directory in
      try WebReceiver.run(directory: directory) { receiver in
        let message = Sample.message(.worsened)
        _ = try Sample.webhook(receiver, secret: "k3y").deliver(message, Sample.context, Cancellation())
        let request = try #require(try receiver.requests().first)
        let check = """
          import hashlib, hmac, sys
          words = dict(part.split("=") for part in sys.argv[1].split(","))
          right = hmac.new(b"k3y", (words["t"] + "." + sys.argv[2]).encode(), hashlib.sha256).hexdigest()
          print(right == words["v1"])
          """
        let header = try #require(request.headers["Backupd-Signature"])
        #expect(header.hasPrefix("t=1793588400,v1="))
        #expect(try Program.succeed("python3", ["-c", check, header, request.body]) == "True\n")
        #expect(request.headers["Idempotency-Key"] == "\(message.id)")
        let root = try #require(try JSONSerialization.jsonObject(with: Data(request.body.utf8)) as? [String: Any])
        #expect(
          Set(root.keys) == ["version", "id", "channel", "host", "created", "title", "isTest", "lost", "changes"])
        let change = try #require((root["changes"] as? [[String: Any]])?.first)
        #expect(change["change"] as? String == "worsened" && change["id"] as? String == "wal:main")
        #expect(change["severity"] as? String == "critical" && change["cluster"] as? String == "main")
        #expect(change["thread"] as? String == "\(message.id)")
      }
    }
  }
}

@Suite("A command") struct CommandTests {
  @Test("gets JSON, and says by its exit status whether it took it") func runs() throws {
    try TemporaryDirectory.run { directory in
      let shell = ["/bin/sh", "-c", "cat > \(directory)/input; echo taken; exit $0"]
      let receipt = try CommandChannel(shell + ["0"]).deliver(Sample.message(), Sample.context, Cancellation())
      #expect(receipt.answer == "taken")
      let input = try Data(contentsOf: URL(filePath: directory + "/input"))
      #expect(
        (try JSONSerialization.jsonObject(with: input) as? [String: Any])?["title"] as? String
          == "CRITICAL: could not receive WAL")
      for (status, isTransient) in [("1", false), ("75", true)] {
        let error = #expect(throws: AlertError.self) {
          _ = try CommandChannel(shell + [status]).deliver(Sample.message(), Sample.context, Cancellation())
        }
        #expect(error?.isTransient == isTransient)
      }
      #expect(throws: AlertError.self) {
        _ = try CommandChannel(["/nonesuch"]).deliver(Sample.message(), Sample.context, Cancellation())
      }
    }
  }

  @Test("that does not end is ended with what it started") func hangs() throws {
    let program = ChildProgram(
      path: "/bin/sh", arguments: ["-c", "trap '' TERM; sleep 1000 & wait"], deadline: .milliseconds(200))
    let error = #expect(throws: AlertError.self) { _ = try program.run(input: [], Cancellation()) }
    #expect(error?.detail == "It was stopped after 200ms.")
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: CancellationError.self) {
      _ = try ChildProgram(path: "/bin/sleep", arguments: ["1000"]).run(input: [], cancellation)
    }
  }
}
