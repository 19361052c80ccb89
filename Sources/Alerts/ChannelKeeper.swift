internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import JobState
internal import Logging
internal import Synchronization
internal import Transfer

/// Tells the conditions on one channel, and keeps trying, until it is stopped.
final class ChannelKeeper: Sendable {
  let route: AlertRoute
  /// Beats while the loop turns; a delivery may take two minutes.
  let heartbeat = Heartbeat()
  private let options: AlertNotifier.Options
  private let state: JobStateStore
  private let watch: ConditionWatch
  private let logger: Logger
  private let cancellation = Cancellation()
  private let predecessor: Mutex<ChannelKeeper?>
  private let ended: AsyncStream<Never>
  private let endedInput: AsyncStream<Never>.Continuation

  /// - Parameter predecessor: Who keeps the same channel's book at present; it has been stopped.
  init(
    _ route: AlertRoute, options: AlertNotifier.Options, state: JobStateStore, watch: ConditionWatch, logger: Logger,
    predecessor: ChannelKeeper?
  ) {
    self.route = route
    self.options = options
    self.state = state
    self.watch = watch
    var logger = logger
    logger[metadataKey: "channel"] = "\(route.id)"
    self.logger = logger
    self.predecessor = Mutex(predecessor)
    (ended, endedInput) = AsyncStream.makeStream(of: Never.self)
  }

  static func conditionID(_ channel: AlertChannelID) -> String { "alert-channel:\(channel)" }
  private var conditionID: String { Self.conditionID(route.id) }
  private var path: String { "\(options.directory)/\(route.id).json" }

  func stop() {
    cancellation.cancel()
    watch.changed.raise()
  }

  func run() async {
    defer { endedInput.finish() }
    if let predecessor = predecessor.withLock({ $0.take() }) {
      for await _ in predecessor.ended {}
    }
    do {
      try await Lane(label: "alerts.\(route.id)").run { [self] inner in
        let outer = cancellation.addHandler { inner.cancel() }
        defer { cancellation.removeHandler(outer) }
        let handler = inner.addHandler { [watch] in watch.changed.raise() }
        defer { inner.removeHandler(handler) }
        try keep(inner)
      }
    } catch {
      // By cancellation only.
    }
  }

  // MARK: The loop

  private func keep(_ cancellation: Cancellation) throws {
    var book = load()
    book.tryAtOnce()
    var absentSince: [String: Timestamp] = [:]
    var gatherEnd: Timestamp?
    while true {
      try cancellation.check()
      heartbeat.beat()
      let before = watch.changed.value
      let now = options.now()
      let view = look(book, &absentSince, now)
      book.refresh(route.rules, view)
      tell(&book, view, &gatherEnd)
      giveUp(&book, now)
      let next = book.next(now)
      if let message = next.message {
        try deliver(message, &book, cancellation)
        continue
      }
      let times = [gatherEnd, next.look, book.nextLook(route.rules, view)].compactMap { $0 }
      let pause = min(times.map { $0 - now }.min() ?? Self.longestPause, Self.longestPause)
      watch.changed.wait(after: before, for: max(pause, .milliseconds(10)))
    }
  }

  /// The clock may be set meanwhile.
  private static let longestPause: Duration = .seconds(30)

  private func look(
    _ book: ChannelBook, _ absentSince: inout [String: Timestamp], _ now: Timestamp
  ) -> ConditionView {
    // A channel that does not work cannot tell so.
    let present = state.conditions().filter { $0.id != conditionID }
    let ids = Set(present.map(\.id))
    absentSince = absentSince.filter { !ids.contains($0.key) }
    for (id, entry) in book.told where entry.resolved == nil && !ids.contains(id) {
      absentSince[id] = max(absentSince[id] ?? now, watch.lastRaised(id) ?? absentSince[id] ?? now)
    }
    return ConditionView(now: now, present: present, absentSince: absentSince)
  }

  /// Puts what is due into the queue once the time to gather has passed since there first was something.
  private func tell(_ book: inout ChannelBook, _ view: ConditionView, _ gatherEnd: inout Timestamp?) {
    let items = book.due(route.rules, view)
    guard !items.isEmpty else {
      gatherEnd = nil
      return
    }
    let end = gatherEnd ?? view.now + route.rules.gather
    gatherEnd = end
    // An end further away than that is of a clock that has been set back.
    guard view.now >= end || end - view.now > route.rules.gather else { return }
    gatherEnd = nil
    book.queue(items, now: view.now)
    save(book)
  }

  // MARK: Delivery

  private func deliver(_ message: AlertMessage, _ book: inout ChannelBook, _ cancellation: Cancellation) throws {
    var message = message
    message.lost = book.lost
    let context = AlertContext(host: options.host, channel: route.id, now: options.now())
    do {
      let receipt = try route.channel.deliver(message, context, cancellation)
      book.sent(message.id, now: options.now())
      save(book)
      logger.info(
        "alert delivered",
        metadata: ["message": "\(message.id)", "conditions": "\(message.items.count)", "answer": "\(receipt.answer)"])
      if let trouble = receipt.trouble { raise(trouble, .warning) } else { resolve() }
    } catch {
      // Whatever a transfer says that was cut short.
      try cancellation.check()
      book.failed(
        message.id, isRefused: Self.isOfTheMessage(error), retryAfter: (error as? any RemoteError)?.retryAfter,
        now: options.now())
      save(book)
      complain(error, message, book)
    }
  }

  /// Whether another message might be taken all the same.
  private static func isOfTheMessage(_ error: any Error) -> Bool {
    switch error {
    case SMTPError.refused(_, let reply): reply.hasPrefix("5")
    case AlertError.refused(_, let status, _, _): [400, 413, 415, 422].contains(status)
    case AlertError.commandFailed(_, _, _, let isTransient): !isTransient
    default: false
    }
  }

  /// A mail server that is started anew is everyday; a minute without is not, and neither is a refusal.
  private func complain(_ error: any Error, _ message: AlertMessage, _ book: ChannelBook) {
    let report = ErrorReport(error)
    logger.warning(
      "alert not delivered, trying again",
      metadata: ["message": "\(message.id)", "attempt": "\(message.attempts + 1)", "error": "\(report)"])
    let age = options.now() - message.created
    let isLasting = (error as? any RemoteError).map { !$0.isTransient } ?? true
    guard isLasting || age >= options.patience else { return }
    let count = book.waiting.count
    let waiting =
      "\(count) message\(count == 1 ? " waits" : "s wait"), the oldest since "
      + "\(Timestamp(seconds: (book.waiting.map(\.created).min() ?? message.created).seconds))."
    raise(
      ErrorReport(
        summary: "alerts do not get out on channel \"\(route.id)\": \(report.summary)",
        detail: [report.detail, waiting].compactMap { $0 }.joined(separator: " "),
        hint: report.hint ?? "Try the channel once it is mended: \"backupctl alerts test \(route.id)\"."),
      book.waiting.map(\.severity).max() ?? .warning)
  }

  private func giveUp(_ book: inout ChannelBook, _ now: Timestamp) {
    let count = book.giveUp(olderThan: options.longestWait, now: now)
    guard count > 0 else { return }
    logger.error("alerts given up, they are too old", metadata: ["messages": "\(count)"])
    save(book)
  }

  // MARK: State

  private func load() -> ChannelBook {
    do {
      return try StateFile.read(ChannelBook.self, from: path, now: options.now()) ?? ChannelBook()
    } catch {
      // Kept aside. What holds is told once more, which is better than not at all.
      logger.error("the channel's state was kept aside", metadata: ["error": "\(ErrorReport(error))"])
      return ChannelBook()
    }
  }

  /// A full disk must not keep anybody from hearing of it: the message goes out all the same.
  private func save(_ book: ChannelBook) {
    do {
      try StateFile.write(book, to: path)
    } catch {
      logger.error(
        "the channel's state could not be written: after a restart something may be told twice",
        metadata: ["error": "\(ErrorReport(error))"])
    }
  }

  private func raise(_ report: ErrorReport, _ severity: Condition.Severity) {
    logger.attempt {
      try state.raise(Condition(id: conditionID, severity: severity, since: options.now(), report: report))
    }
  }

  private func resolve() { logger.attempt { try state.resolve(conditionID) } }
}
