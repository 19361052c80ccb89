import BackupModel
import Testing

@testable import Monitoring

@Suite("What lasts becomes a condition") struct HysteresisTests {
  private static let start = Timestamp(seconds: 1_790_000_000)

  /// Takes judgements as a daemon would, and counts what it is told.
  private struct Harness {
    var hysteresis = Hysteresis(interval: .seconds(30))
    var raised: [String: Condition] = [:]
    var raises = 0
    var resolves = 0

    @discardableResult
    mutating func look(_ second: Int, _ judgements: [Judgement]) -> Hysteresis.Change {
      let change = hysteresis.take(
        judgements, raised: Array(raised.values), now: start + .seconds(second), uptime: .seconds(second))
      for condition in change.raise {
        if raised[condition.id] == nil { raises += 1 }
        raised[condition.id] = condition
      }
      for id in change.resolve {
        raised[id] = nil
        resolves += 1
      }
      return change
    }
  }

  private static func wrong(
    _ id: String = "server:a", _ severity: Condition.Severity = .warning, delay: Double = 0, causes: [String] = []
  ) -> Judgement {
    Judgement(id, .wrong(severity, ErrorReport(summary: "wrong")), delay: delay, causes: causes)
  }

  @Test("once it was wrong for its delay, since it was wrong first") func delays() {
    var harness = Harness()
    #expect(harness.look(0, [Self.wrong(delay: 2)]).next == .seconds(60))
    #expect(harness.look(30, [Self.wrong(delay: 2)]).raise == [])
    let raised = harness.look(60, [Self.wrong(delay: 2)]).raise
    #expect(raised.map(\.since) == [Self.start])
    harness.look(90, [Self.wrong(delay: 2)])
    #expect(harness.raises == 1)
  }

  @Test("not where it was right in between") func interrupted() {
    var harness = Harness()
    harness.look(0, [Self.wrong(delay: 2)])
    harness.look(30, [Judgement("server:a", .right)])
    harness.look(60, [Self.wrong(delay: 2)])
    #expect(harness.look(90, [Self.wrong(delay: 2)]).raise == [])
  }

  @Test("and ends when it was right for two intervals without a break") func settles() {
    var harness = Harness()
    harness.look(0, [Self.wrong()])
    harness.look(30, [Judgement("server:a", .right)])
    harness.look(60, [Judgement("server:a", .unclear)])
    harness.look(90, [Judgement("server:a", .right)])
    #expect(harness.look(120, [Judgement("server:a", .right)]).resolve == [])
    #expect(harness.look(150, [Judgement("server:a", .right)]).resolve == ["server:a"])
    #expect(harness.look(180, [Judgement("server:a", .right)]).resolve == [])
    #expect((harness.raises, harness.resolves) == (1, 1))
  }

  @Test("10,000 flaps faster than the interval are one") func flaps() {
    var harness = Harness()
    for flap in 0..<10_000 {
      harness.look(flap * 20, [Self.wrong()])
      harness.look(flap * 20 + 10, [Judgement("server:a", .right)])
    }
    #expect((harness.raises, harness.resolves) == (1, 0))
  }

  @Test("stays where it cannot be seen, also all of a kind") func unseen() {
    var harness = Harness()
    harness.look(0, [Self.wrong("damage:local:a")])
    harness.look(300, [.unclear(all: .damage)])
    #expect(harness.raised.keys.sorted() == ["damage:local:a"])
    #expect(harness.look(600, []).resolve == ["damage:local:a"], "its subject is gone")
  }

  @Test("is nobody's but its author's where the monitor does not judge it") func foreign() {
    var harness = Harness()
    harness.raised["job:nightly"] = Condition(
      id: "job:nightly", severity: .critical, since: Self.start, report: ErrorReport(summary: "failed"))
    harness.raised["objective:tokens:rpo"] = harness.raised["job:nightly"]
    #expect(harness.look(0, []).resolve == [])
  }

  @Test("never becomes less severe before it ends, and more severe at once") func severity() {
    var harness = Harness()
    harness.look(0, [Self.wrong()])
    harness.look(30, [Self.wrong("server:a", .critical)])
    #expect(harness.raised["server:a"]?.severity == .critical)
    #expect(harness.look(60, [Self.wrong()]).raise == [])
  }

  @Test("is not told beside what explains it, and is once that has ended", arguments: ["job:nightly", "job:*"])
  func explained(cause: String) {
    var harness = Harness()
    harness.raised["job:nightly"] = Condition(
      id: "job:nightly", severity: .critical, since: Self.start, report: ErrorReport(summary: "failed"))
    harness.look(0, [Self.wrong("no-success:nightly", causes: [cause])])
    #expect(harness.raises == 0)
    harness.raised["job:nightly"] = nil
    harness.look(30, [Self.wrong("no-success:nightly", causes: [cause])])
    #expect(harness.raises == 1)
  }

  @Test("in one look the cause comes before its consequence") func together() {
    var harness = Harness()
    harness.look(0, [Self.wrong("server:a"), Self.wrong("slot:a", causes: ["server:a"])])
    #expect(harness.raised.keys.sorted() == ["server:a"])
  }

  @Test("a clock that goes back does not say that it began in the future") func clockBack() {
    var hysteresis = Hysteresis(interval: .seconds(30))
    _ = hysteresis.take([Self.wrong(delay: 1)], raised: [], now: Self.start, uptime: .zero)
    let change = hysteresis.take(
      [Self.wrong(delay: 1)], raised: [], now: Self.start - .seconds(7200), uptime: .seconds(30))
    #expect(change.raise.map(\.since) == [Self.start - .seconds(7200)])
  }
}
