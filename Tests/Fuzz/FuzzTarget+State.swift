import BackupModel
import ControlProtocol
import Foundation

@testable import Alerts
@testable import JobState
@testable import MetricsExport
@testable import Scheduling
@testable import Varlink

/// What the daemon keeps for itself, is told by its configuration, and hears on its sockets.
extension FuzzTarget {
  static var ofState: [FuzzTarget] { [runs, alerts, schedule, zone, varlink, http] }

  private static let condition = Condition(
    id: "wal:main", severity: .critical, since: .now(), report: ErrorReport(summary: "s", detail: "d", hint: "h"))

  private static func text<Value: Codable>(_ value: Value) -> [UInt8] {
    Array((try? JSONEncoder().encode(Versioned(value))) ?? Data())
  }

  private static let runs: FuzzTarget = {
    var record = RunRecord(
      run: RunID(started: .now()), job: JobID(unchecked: "nightly"), kind: "physical",
      cluster: ClusterID(unchecked: "main"), trigger: .schedule, due: .now(), started: .now())
    record.finished = .now()
    record.outcome = .failed
    record.phases = [RunPhase(name: "copy", durationSeconds: 1.5)]
    record.error = condition.report
    var state = JobState(job: record.job)
    state.begin(record)
    let value = state
    return FuzzTarget("runs", seeds: [text(record), text(state)]) { bytes in
      do {
        _ = try JSONDecoder().decode(Versioned<JobState>.self, from: Data(bytes))
      } catch {
        let record = try JSONDecoder().decode(Versioned<RunRecord>.self, from: Data(bytes)).value
        var state = value
        state.end(record)
        _ = StateFile.problem(error)
      }
    }
  }()

  private static let alerts: FuzzTarget = {
    var book = ChannelBook()
    book.queue([AlertItem(change: .raised, condition: condition)], now: .now())
    return FuzzTarget("alerts", seeds: [text(book)]) { bytes in
      var book = try JSONDecoder().decode(Versioned<ChannelBook>.self, from: Data(bytes)).value
      let view = ConditionView(now: .now(), present: [condition], absentSince: [:])
      let rules = ChannelRules()
      let due = book.due(rules, view)
      _ = (book.next(view.now), book.nextLook(rules, view))
      book.queue(due, now: view.now)
      for message in book.waiting {
        book.failed(message.id, isRefused: false, retryAfter: .seconds(1), now: view.now)
        book.sent(message.id, now: view.now)
      }
      _ = book.giveUp(olderThan: .seconds(60), now: view.now)
      book.refresh(rules, view)
    }
  }()

  private static let schedule = FuzzTarget(
    "schedule", text: ["*/15 2-4,9 1,L * mon-fri", "@daily", "0 2 * 1 sun#2", "0 0 29 2 *"]
  ) { bytes in
    let expression = try CronExpression(String(decoding: bytes, as: UTF8.self))
    _ = expression.next(after: Timestamp(seconds: 1_790_000_000), in: .utc)
  }

  private static let zone: FuzzTarget = {
    let files = ["Europe/Berlin", "America/New_York", "UTC"].compactMap {
      FileManager.default.contents(atPath: "/usr/share/zoneinfo/" + $0).map { Array($0) }
    }
    return FuzzTarget("zone", seeds: files) { bytes in
      let zone = try TimeZoneRules(name: "fuzz", tzif: bytes)
      let expression = try CronExpression("30 2 * * *")
      _ = expression.next(after: Timestamp(seconds: 1_790_000_000), in: zone)
    }
  }()

  /// A first byte says in pieces of which length the rest comes.
  private static let varlink = FuzzTarget(
    "varlink",
    text: [
      "\u{7}{\"method\":\"io.backupd.Control.RunJob\",\"parameters\":{\"job\":\"nightly\"},\"more\":true}\u{0}"
        + "{\"error\":\"io.backupd.Control.NoSuchJob\",\"parameters\":{}}\u{0}"
    ]
  ) { bytes in
    var buffer = VarlinkFrameBuffer(limit: 4096)
    let rest = bytes.dropFirst()
    let size = max(1, Int(bytes.first ?? 1))
    for start in stride(from: rest.startIndex, to: rest.endIndex, by: size) {
      buffer.append(rest[start..<min(start + size, rest.endIndex)])
      while let message = try buffer.next() {
        if let reply = try? VarlinkReply(decoding: message) { _ = try? reply.parameters(as: RunJobReply.self) }
        guard let call = try? VarlinkRequest(decoding: message) else { continue }
        _ = call.interface
        _ = try? call.parameters(as: RunJobParameters.self)
        _ = try? call.parameters(as: ListRunsParameters.self)
      }
    }
  }

  private static let http = FuzzTarget(
    "http", text: ["GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", "HEAD /metrics HTTP/1.0\n\n"]
  ) { _ = RequestHead($0) }
}
