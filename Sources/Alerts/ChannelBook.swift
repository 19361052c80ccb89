internal import BackupModel

/// What one channel has told, and what waits to be sent: the file `alerts/<channel>.json`.
///
/// A value that is written as a whole: that something counts as told and the message that tells it become durable in one
/// step, and so does that a message is gone from the queue.
struct ChannelBook: Sendable, Hashable, Codable {
  /// By the condition's id.
  var told: [String: ToldCondition] = [:]
  /// Messages that are not acknowledged, in order.
  var waiting: [AlertMessage] = []
  /// Messages given up since the last that was sent.
  var lost = 0

  /// More messages than this are not queued: what comes joins the last one.
  static let waitingLimit = 100
}

/// What was told of a condition.
struct ToldCondition: Sendable, Hashable, Codable {
  /// As it was when it was last seen.
  var condition: Condition
  var thread: AlertMessageID
  /// When it was last told that it holds: reminders count from here.
  var told: Timestamp
  /// The worst that was told since then.
  var peak: Condition.Severity
  /// When its end was told; nil while it counts as holding.
  var resolved: Timestamp?
  /// How often it came back within the reminder interval: the more, the longer it must stay away to be over.
  var returns = 0
}

/// What is known of the conditions at a moment.
struct ConditionView: Sendable {
  var now: Timestamp
  /// What holds, this channel's own trouble left out.
  var present: [Condition]
  /// Since when something that counts as holding does not, without a break.
  var absentSince: [String: Timestamp]
}

extension ChannelBook {
  /// What is to be told now, the most severe first. Nothing is changed.
  func due(_ rules: ChannelRules, _ view: ConditionView) -> [AlertItem] {
    var items: [AlertItem] = []
    for condition in view.present where rules.concerns(condition) {
      guard let change = change(of: condition, rules, view.now) else { continue }
      if rules.holds(condition.severity, at: view.now) { continue }
      // While nothing gets out there is nobody to be reminded.
      if change == .reminder, !waiting.isEmpty { continue }
      let isNew = change == .raised
      items.append(
        AlertItem(change: change, condition: condition, thread: isNew ? nil : told[condition.id]?.thread))
    }
    let present = Set(view.present.map(\.id))
    for (id, entry) in told where entry.resolved == nil && !present.contains(id) {
      guard isOver(entry, rules, view.now, absentSince: view.absentSince[id]) else { continue }
      if rules.holds(entry.peak, at: view.now) { continue }
      items.append(AlertItem(change: .resolved, condition: entry.condition, thread: entry.thread))
    }
    return items.sorted { Self.order($0) < Self.order($1) }
  }

  private static func order(_ item: AlertItem) -> (Int, Int, Timestamp, String) {
    (
      item.change == .resolved ? 1 : 0, item.condition.severity == .critical ? 0 : 1, item.condition.since,
      item.condition.id
    )
  }

  private func change(of condition: Condition, _ rules: ChannelRules, _ now: Timestamp) -> AlertItem.Change? {
    guard let entry = told[condition.id] else { return condition.severity >= rules.severity ? .raised : nil }
    let isIntervalOver = Self.elapsed(since: entry.told, now) >= rules.remind
    if entry.resolved != nil {
      guard condition.severity >= rules.severity else { return nil }
      // Its end was told, and a person relies on it: that it is back cannot wait.
      return isIntervalOver ? .raised : .again
    }
    if condition.severity > entry.peak { return .worsened }
    return isIntervalOver && condition.severity >= rules.severity ? .reminder : nil
  }

  /// One that came back has to stay away for longer, and the second time until the reminder interval is over.
  private func isOver(
    _ entry: ToldCondition, _ rules: ChannelRules, _ now: Timestamp, absentSince: Timestamp?
  ) -> Bool {
    guard let absentSince, Self.elapsed(since: absentSince, now) >= rules.gather else { return false }
    if entry.returns == 0 || Self.elapsed(since: entry.told, now) >= rules.remind { return true }
    return entry.returns == 1 && Self.elapsed(since: absentSince, now) >= Self.longAbsence(rules)
  }

  private static func longAbsence(_ rules: ChannelRules) -> Duration { max(rules.gather, rules.remind / 8) }

  /// Of a time that lies ahead, since the clock was set back, nobody knows how long ago it was: long enough.
  static func elapsed(since time: Timestamp, _ now: Timestamp) -> Duration {
    isAhead(time, now) ? .seconds(1 << 40) : now - time
  }

  /// The items count as told, and their message waits to be sent.
  mutating func queue(_ items: [AlertItem], now: Timestamp) {
    guard !items.isEmpty else { return }
    var message = AlertMessage(created: now, items: items)
    if waiting.count >= Self.waitingLimit, let last = waiting.last, last.attempts == 0 {
      message = last
      message.items += items
      waiting.removeLast()
    }
    for item in items { note(item, in: message.id, now) }
    waiting.append(message)
  }

  private mutating func note(_ item: AlertItem, in message: AlertMessageID, _ now: Timestamp) {
    let condition = item.condition
    let before = told[condition.id]
    var entry = ToldCondition(
      condition: condition, thread: item.thread ?? message, told: now, peak: condition.severity)
    switch item.change {
    case .raised, .worsened: entry.returns = before?.returns ?? 0
    case .again: entry.returns = (before?.returns ?? 0) + 1
    // After a whole interval without a break it is steady again.
    case .reminder: entry.returns = before.map { condition.since > $0.told ? $0.returns : 0 } ?? 0
    case .resolved:
      entry = before ?? entry
      entry.resolved = now
    }
    told[condition.id] = entry
  }

  /// Keeps what was last known of what was told, and forgets what nothing depends on any more.
  mutating func refresh(_ rules: ChannelRules, _ view: ConditionView) {
    for condition in view.present where told[condition.id]?.resolved == nil {
      told[condition.id]?.condition = condition
    }
    rebase(view.now)
    told = told.filter { _, entry in
      guard rules.concerns(entry.condition) else { return false }
      guard let resolved = entry.resolved else { return true }
      return Self.elapsed(since: max(entry.told, resolved), view.now) < rules.remind
    }
  }

  /// Times that lie ahead are of a clock that has been set back since: intervals begin anew, and nothing is told for it.
  private mutating func rebase(_ now: Timestamp) {
    for (id, entry) in told {
      if Self.isAhead(entry.told, now) { told[id]?.told = now }
      if let resolved = entry.resolved, Self.isAhead(resolved, now) { told[id]?.resolved = now }
    }
  }

  private static func isAhead(_ time: Timestamp, _ now: Timestamp) -> Bool { time > now + .seconds(60) }

  /// When ``due(_:_:)`` may have more to say although nothing changes; nil where it never will.
  func nextLook(_ rules: ChannelRules, _ view: ConditionView) -> Timestamp? {
    var times: [Timestamp] = []
    for entry in told.values where entry.resolved == nil {
      times.append(entry.told + rules.remind)
      if let absent = view.absentSince[entry.condition.id] {
        times += [absent + rules.gather, absent + Self.longAbsence(rules)]
      }
    }
    if let quiet = rules.quietHours, quiet.holds(.warning, at: view.now) { times.append(quiet.end(after: view.now)) }
    return times.filter { $0 > view.now }.min()
  }
}

// MARK: The queue

extension ChannelBook {
  /// Full jitter (RetrySchedule's rule) below a bound that grows from seconds to a quarter of an hour.
  static func pause(afterAttempts attempts: Int, random: Double = .random(in: 0...1)) -> Duration {
    let bound = min(900.0, 5.0 * Double(1 << min(attempts, 10)))
    return .milliseconds(Int64(max(1000, bound * random * 1000)))
  }

  /// The message to try now, and when else to look.
  ///
  /// Messages go in order. One that the other side has read and refused holds nobody up; one that did not get there
  /// does, since neither would the next.
  func next(_ now: Timestamp) -> (message: AlertMessage?, look: Timestamp?) {
    var look: Timestamp?
    for message in waiting {
      // A clock that was set back must not make a message wait for days.
      guard let due = message.nextAttempt, due > now, due < now + .seconds(3600) else { return (message, look) }
      look = min(look ?? due, due)
      if message.isRefused != true { break }
    }
    return (nil, look)
  }

  /// A message got there: what it tells is known from now on.
  mutating func sent(_ id: AlertMessageID, now: Timestamp) {
    for item in waiting.first(where: { $0.id == id })?.items ?? [] where item.change != .resolved {
      told[item.condition.id]?.told = now
    }
    waiting.removeAll { $0.id == id }
    lost = 0
  }

  /// - Parameter isRefused: Whether it got there and was not wanted.
  mutating func failed(_ id: AlertMessageID, isRefused: Bool, retryAfter: Duration?, now: Timestamp) {
    guard let index = waiting.firstIndex(where: { $0.id == id }) else { return }
    waiting[index].attempts += 1
    waiting[index].isRefused = isRefused
    let pause = Self.pause(afterAttempts: waiting[index].attempts)
    waiting[index].nextAttempt = now + max(pause, min(retryAfter ?? .zero, .seconds(900)))
  }

  /// Gives up messages that nobody would want any more.
  /// - Returns: How many.
  mutating func giveUp(olderThan age: Duration, now: Timestamp) -> Int {
    let before = waiting.count
    waiting.removeAll { now - $0.created > age }
    lost += before - waiting.count
    return before - waiting.count
  }

  /// After a restart, or under another configuration, nothing waits for its time.
  mutating func tryAtOnce() {
    for index in waiting.indices { waiting[index].nextAttempt = nil }
  }
}
