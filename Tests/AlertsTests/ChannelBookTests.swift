import BackupModel
import Scheduling
import Testing

@testable import Alerts

@Suite("What a channel tells") struct ChannelBookTests {
  /// A channel whose time a test moves.
  struct Trial {
    var rules = ChannelRules(remind: .seconds(3600), gather: .seconds(10))
    var book = ChannelBook()
    var now = Timestamp(seconds: 1_793_588_400)
    var present: [Condition] = []
    private var absentSince: [String: Timestamp] = [:]
    var said: [String] = []

    mutating func raise(
      _ id: String, _ severity: Condition.Severity = .warning, cluster: String? = nil, tier: String? = nil
    ) {
      let since = present.first { $0.id == id }?.since ?? now
      present.removeAll { $0.id == id }
      present.append(
        Condition(
          id: id, severity: severity, since: since, report: ErrorReport(summary: "it broke"),
          cluster: cluster.map { ClusterID(unchecked: $0) }, tier: tier.map { TierID(unchecked: $0) }))
      absentSince[id] = nil
    }
    mutating func resolve(_ id: String) {
      present.removeAll { $0.id == id }
      absentSince[id] = now
    }

    /// Time passes, and whatever is due on the way is queued and sent.
    mutating func pass(_ seconds: Int) {
      let end = now + .seconds(seconds)
      look()
      while now < end {
        let view = ConditionView(now: now, present: present, absentSince: absentSince)
        now = min(book.nextLook(rules, view) ?? end, end)
        look()
      }
    }
    mutating func look() {
      let view = ConditionView(now: now, present: present, absentSince: absentSince)
      book.refresh(rules, view)
      let items = book.due(rules, view)
      book.queue(items, now: now)
      for message in book.waiting {
        said.append(message.items.map { "\($0.change.rawValue) \($0.condition.id)" }.joined(separator: ", "))
        book.sent(message.id, now: now)
      }
    }
  }

  @Test("is what is wrong, once, and its end") func once() {
    var trial = Trial()
    trial.raise("wal:main")
    trial.pass(1800)
    trial.raise("wal:main")
    trial.pass(60)
    trial.resolve("wal:main")
    trial.pass(4 * 3600)
    #expect(trial.said == ["raised wal:main", "resolved wal:main"])
    #expect(trial.book.told.isEmpty, "nothing depends on it any more")
  }

  @Test("comes again after each reminder interval for as long as it holds") func reminders() {
    var trial = Trial()
    trial.raise("wal:main")
    trial.pass(3 * 3600 + 60)
    trial.resolve("wal:main")
    trial.pass(60)
    #expect(
      trial.said == ["raised wal:main"] + Array(repeating: "reminder wal:main", count: 3) + ["resolved wal:main"])
  }

  @Test("is the end of what came back when it has stayed away for an eighth of the interval, and then for all of it")
  func returns() {
    var trial = Trial()
    for away in [60, 449, 451, 1800] {
      trial.raise("wal:main")
      trial.pass(60)
      trial.resolve("wal:main")
      trial.pass(away)
    }
    #expect(
      trial.said == [
        "raised wal:main", "resolved wal:main", "again wal:main", "resolved wal:main", "again wal:main",
      ])
    trial.pass(1800)
    #expect(trial.said.last == "resolved wal:main")
  }

  @Test("is what is back once more, and then its end only when it stays away") func flaps() {
    var trial = Trial()
    for _ in 0..<30 {
      trial.raise("wal:main")
      trial.pass(60)
      trial.resolve("wal:main")
      trial.pass(30)
    }
    #expect(trial.said == ["raised wal:main", "resolved wal:main", "again wal:main"])
    trial.pass(3600)
    #expect(trial.said.last == "resolved wal:main" && trial.said.count == 4)
  }

  @Test("of something that never rests is at most what the interval allows", arguments: [7, 25, 90, 400, 500, 1700])
  func endless(half: Int) {
    var trial = Trial()
    let begin = trial.now
    for _ in 0..<10_000 {
      trial.raise("wal:main")
      trial.pass(half)
      trial.resolve("wal:main")
      trial.pass(half)
    }
    let intervals = Int((trial.now - begin).secondsValue / 3600) + 1
    #expect(trial.said.count <= 2 * intervals + 4, "\(trial.said.count) in \(intervals) intervals")
    trial.pass(2 * 3600)
    #expect(trial.said.last == "resolved wal:main", "the last state is told in the end")
  }

  @Test("is at once that something is worse than was told, and not that it is better") func severity() {
    var trial = Trial()
    trial.raise("disk")
    trial.pass(60)
    for _ in 0..<5 {
      trial.raise("disk", .critical)
      trial.pass(60)
      trial.raise("disk", .warning)
      trial.pass(60)
    }
    #expect(trial.said == ["raised disk", "worsened disk"])
    trial.pass(3600)
    #expect(trial.said.last == "reminder disk")
    trial.resolve("disk")
    trial.pass(60)
    #expect(trial.said == ["raised disk", "worsened disk", "reminder disk", "resolved disk"])
  }

  @Test("is what its severity, clusters and tiers let through") func routing() {
    var trial = Trial()
    trial.rules.severity = .critical
    trial.rules.clusters = [ClusterID(unchecked: "main")]
    trial.rules.tiers = [TierID(unchecked: "tokens")]
    trial.raise("a", .warning, cluster: "main")
    trial.raise("b", .critical, cluster: "other")
    trial.raise("c", .critical, cluster: "main", tier: "audit")
    trial.pass(60)
    #expect(trial.said == [])
    trial.raise("d", .critical, cluster: "main", tier: "tokens")
    trial.raise("e", .critical, cluster: "main")
    trial.raise("f", .critical)
    trial.pass(60)
    #expect(trial.said == ["raised d, raised e, raised f"])
    for id in ["a", "b", "c", "d", "e", "f"] { trial.resolve(id) }
    trial.pass(60)
    #expect(trial.said.last == "resolved d, resolved e, resolved f")
  }

  @Test("in quiet hours is what is critical; the rest at their end, if it still holds") func quietHours() throws {
    var trial = Trial()
    // 03:00 UTC is 04:00 there.
    trial.rules.quietHours = QuietHours(begin: 22 * 60, end: 7 * 60, zone: try TimeZoneRules(named: "Europe/Berlin"))
    trial.raise("short")
    trial.raise("long")
    trial.raise("bad", .critical)
    trial.pass(3600)
    trial.resolve("short")
    trial.pass(3600 - 60)
    #expect(trial.said == ["raised bad", "reminder bad"])
    trial.rules.remind = .seconds(24 * 3600)
    trial.pass(3600 + 60)
    #expect(trial.now == Timestamp(seconds: 1_793_588_400 + 3 * 3600))
    #expect(trial.said.dropFirst(2) == ["raised long"])
    // The next evening what was told is over: its end waits for the morning too.
    trial.pass(15 * 3600)
    trial.resolve("long")
    trial.resolve("bad")
    trial.pass(60)
    #expect(trial.said.dropFirst(3) == ["resolved bad"])
    trial.pass(9 * 3600)
    #expect(trial.said.dropFirst(4) == ["resolved long"])
  }

  @Test("in quiet hours without exception is nothing") func silence() {
    var trial = Trial()
    trial.rules.quietHours = QuietHours(begin: 0, end: 6 * 60, zone: .utc, holdsCritical: true)
    trial.raise("bad", .critical)
    trial.pass(3 * 3600 - 60)
    #expect(trial.said == [])
    trial.pass(120)
    #expect(trial.said == ["raised bad"])
  }

  @Test("that was told before the clock was set back is not told anew, and reminded of an interval later")
  func clockWhileRaised() {
    var trial = Trial()
    trial.raise("wal:main")
    trial.pass(60)
    let before = trial.said
    trial.now = trial.now - .seconds(120)
    trial.pass(60)
    #expect(trial.said == before && before == ["raised wal:main"])
    trial.pass(3600)
    #expect(trial.said == before + ["reminder wal:main"])
  }

  @Test("after the clock was set back goes on") func clock() {
    var trial = Trial()
    trial.raise("wal:main")
    trial.pass(60)
    trial.now = trial.now - .seconds(30 * 86400)
    trial.resolve("wal:main")
    trial.pass(60)
    #expect(trial.said.last == "resolved wal:main")
  }
}

@Suite("Messages that wait") struct WaitingMessageTests {
  private static let now = Timestamp(seconds: 1_793_588_400)

  private func item(_ id: String) -> AlertItem {
    AlertItem(
      change: .raised,
      condition: Condition(id: id, severity: .warning, since: Self.now, report: ErrorReport(summary: "it broke")))
  }

  @Test("go in order, and the first that does not get there holds up the others") func order() throws {
    var book = ChannelBook()
    for id in ["a", "b"] { book.queue([item(id)], now: Self.now) }
    let first = try #require(book.next(Self.now).message)
    book.failed(first.id, isRefused: false, retryAfter: .seconds(30), now: Self.now)
    let pause = book.next(Self.now)
    #expect(pause.message == nil && pause.look.map { $0 >= Self.now + .seconds(30) } == true)
    #expect(book.next(Self.now + .seconds(60)).message?.id == first.id)
  }

  @Test("that are refused hold up nobody") func refused() throws {
    var book = ChannelBook()
    for id in ["a", "b"] { book.queue([item(id)], now: Self.now) }
    let first = try #require(book.next(Self.now).message)
    book.failed(first.id, isRefused: true, retryAfter: nil, now: Self.now)
    #expect(book.next(Self.now).message?.items == [item("b")])
  }

  @Test("pause at random below a bound that grows") func pauses() {
    #expect(
      (1...20).map { ChannelBook.pause(afterAttempts: $0, random: 1).components.seconds }.prefix(4) == [10, 20, 40, 80])
    #expect(ChannelBook.pause(afterAttempts: 60, random: 1) == .seconds(900))
    #expect(ChannelBook.pause(afterAttempts: 60, random: 0) == .seconds(1))
    #expect(Set((0..<50).map { _ in ChannelBook.pause(afterAttempts: 5) }).count > 10)
  }

  @Test("a day are not joined by reminders, which count from when they got there") func reminders() throws {
    let rules = ChannelRules(remind: .seconds(3600), gather: .zero)
    let condition = item("a").condition
    func view(_ seconds: Int64) -> ConditionView {
      ConditionView(now: Self.now + .seconds(seconds), present: [condition], absentSince: [:])
    }
    var book = ChannelBook()
    book.queue(book.due(rules, view(0)), now: Self.now)
    for hour in Int64(1)...24 { #expect(book.due(rules, view(hour * 3600)) == []) }
    let message = try #require(book.waiting.first)
    book.sent(message.id, now: view(86400).now)
    #expect(book.due(rules, view(86400 + 3599)) == [])
    #expect(book.due(rules, view(86400 + 3600)).map(\.change) == [.reminder])
  }

  @Test("too long are given up, and the next says so") func age() {
    var book = ChannelBook()
    book.queue([item("a")], now: Self.now)
    book.queue([item("b")], now: Self.now + .seconds(86400))
    #expect(book.giveUp(olderThan: .seconds(7 * 86400), now: Self.now + .seconds(7 * 86400 + 60)) == 1)
    #expect(book.waiting.map(\.items) == [[item("b")]] && book.lost == 1)
  }

  @Test("do not become more than a hundred, and nothing is left out") func bound() {
    var book = ChannelBook()
    for number in 0..<250 { book.queue([item("c\(number)")], now: Self.now) }
    #expect(book.waiting.count == 100)
    #expect(book.waiting.flatMap(\.items).map(\.condition.id) == (0..<250).map { "c\($0)" })
  }
}
