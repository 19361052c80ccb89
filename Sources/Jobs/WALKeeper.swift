internal import BackupModel
internal import BlockingWork
internal import JobState
internal import Logging
internal import Repository
import Synchronization
internal import WALArchiving

/// Runs a cluster's WAL archiver for as long as its job is configured.
final class WALKeeper: Sendable {
  let job: WALJob
  private let repository: Repository
  private let landingDirectory: String
  private let state: JobStateStore
  private let logger: Logger
  private let wantsBackup: @Sendable (ClusterID) -> Void
  private let current: Mutex<WALArchiver>
  private let news: StoreNews
  /// Ends this keeper alone: its job was changed or removed.
  let cancellation = Cancellation()
  private let predecessor: Mutex<WALKeeper?>
  private let troubles = WALTroubles()
  /// Finished when this keeper has ended.
  private let ended: AsyncStream<Never>
  private let endedInput: AsyncStream<Never>.Continuation

  /// - Parameter predecessor: Kept the same cluster until now; this one begins when it has ended, since two archivers
  ///   cannot share a slot and a landing directory.
  init(
    _ job: WALJob, repository: Repository, landingDirectory: String, state: JobStateStore, logger: Logger,
    predecessor: WALKeeper?, news: StoreNews,
    wantsBackup: @escaping @Sendable (ClusterID) -> Void
  ) {
    self.job = job
    self.repository = repository
    self.landingDirectory = landingDirectory
    self.state = state
    var logger = logger
    logger[metadataKey: "job"] = "\(job.id)"
    logger[metadataKey: "cluster"] = "\(job.cluster)"
    self.logger = logger
    self.wantsBackup = wantsBackup
    self.news = news
    self.predecessor = Mutex(predecessor)
    (ended, endedInput) = AsyncStream.makeStream(of: Never.self)
    current = Mutex(
      Self.makeArchiver(job, repository, landingDirectory, observe: { _ in }))
    current.withLock { $0 = newArchiver() }
  }

  var archiver: WALArchiver { current.withLock { $0 } }
  func status() -> WALStatus { archiver.status() }
  private var conditionID: String { "wal:\(job.cluster)" }
  /// Raised by a hole in a cluster's WAL; a base backup taken since settles it.
  static func gapCondition(of cluster: ClusterID) -> String { "wal-gap:\(cluster)" }

  private static func makeArchiver(
    _ job: WALJob, _ repository: Repository, _ landing: String, observe: @escaping @Sendable (WALEvent) -> Void
  ) -> WALArchiver {
    var options = WALArchiver.Options(
      cluster: job.cluster, connection: job.connection.revealText(), slot: job.slot,
      landingDirectory: landing, partialInterval: job.partialInterval)
    options.streams = job.streams
    options.waitsForStores = job.waitsForStores
    options.isSynchronous = job.isSynchronous
    options.dropsSlot = job.dropsSlot
    options.serverDirectory = job.serverDirectory
    return WALArchiver(options, repository: repository, observe: observe)
  }

  private func newArchiver() -> WALArchiver {
    Self.makeArchiver(job, repository, landingDirectory) { [weak self] event in self?.take(event) }
  }

  /// Receives until cancelled.
  func run() async {
    defer { endedInput.finish() }
    await withDiscardingTaskGroup { group in
      group.addTask { [self] in await troubles.tell { raise($0, unless: explanation(of: $0)) } }
      await receive()
      group.cancelAll()
    }
    // The job was changed or removed: what was wrong with it no longer is, or its successor finds it again.
    if cancellation.isCancelled { resolve(conditionID) }
  }

  /// What only a person can mend is tried again every minute: they need not restart us too.
  private func receive() async {
    if let predecessor = predecessor.withLock({ $0.take() }) {
      for await _ in predecessor.ended {}
    }
    let lane = Lane(label: "wal.\(job.cluster)")
    while !Task.isCancelled && !cancellation.isCancelled {
      let archiver = self.archiver
      do {
        try await lane.run { [cancellation] inner in
          let handler = cancellation.addHandler { inner.cancel() }
          defer { cancellation.removeHandler(handler) }
          try archiver.run(inner)
        }
      } catch {
        if Task.isCancelled || cancellation.isCancelled { break }
        raise(.critical, ErrorReport(error))
        logger.error(
          "WAL is not received",
          metadata: [
            "error": "\(ErrorReport(error))", JournalMessage.key: JournalMessage.walNotReceived.metadata,
          ])
      }
      do {
        try await lane.run { [cancellation] inner in
          let handler = cancellation.addHandler { inner.cancel() }
          defer { cancellation.removeHandler(handler) }
          try inner.sleep(.seconds(60))
        }
      } catch {
        break
      }
      current.withLock { $0 = newArchiver() }
    }
  }

  private func take(_ event: WALEvent) {
    switch event {
    case .connected(let server, let position):
      logger.info("WAL streaming begins", metadata: ["server": "\(server)", "position": "\(position)"])
      troubles.ended(conditionID)
      resolve(conditionID)
    case .landingFull, .landingHasRoom, .slotDropped, .landingForecast, .serverForecast: takeBacklog(event)
    case .landingProbed(let sync):
      logger.info(
        "the landing directory's disk keeps what it is told", metadata: ["sync": "\(DurationText.format(sync))"])
    case .slotCreated(let slot):
      logger.notice("replication slot created", metadata: ["slot": "\(slot)"])
    case .warned(let report):
      logger.warning("\(report.summary)", metadata: ["error": "\(report)"])
    case .receivingFailed(let report, let serverAnswers, let attempts, let delay):
      failed(
        condition(conditionID, .warning, report),
        patience: serverAnswers ? WALTroubles.serverPatience : WALTroubles.patience)
      logger.warning(
        "WAL streaming interrupted, trying again",
        metadata: ["attempt": "\(attempts)", "retryAfter": "\(DurationText.format(delay))", "error": "\(report)"])
    case .receivingStopped(let report):
      troubles.ended(conditionID)
      raise(.critical, report)
    case .gap(let gap):
      let report = gap.report
      logger.error(
        "WAL is missing",
        metadata: ["error": "\(report)", JournalMessage.key: JournalMessage.walMissing.metadata])
      raise(.critical, report, id: Self.gapCondition(of: job.cluster))
      wantsBackup(job.cluster)
    case .timelineFollowed(let timeline, let lsn):
      logger.notice("timeline followed", metadata: ["timeline": "\(timeline)", "position": "\(lsn)"])
    case .timelineForked(let timeline, let lsn, let kept):
      let report = ErrorReport(
        summary: "the server of cluster \"\(job.cluster)\" goes on without WAL that is held",
        detail: "It left timeline \(kept.timeline) for timeline \(timeline) at \(lsn); WAL is held up to \(kept.lsn).",
        hint: "What it lacks is kept and can be restored: \"--timeline \(kept.timeline)\".")
      logger.warning("timeline forked", metadata: ["error": "\(report)"])
      wantsBackup(job.cluster)
    case .segmentTaken: news.tell(.segment)
    case .sliceTaken: news.tell(.slice)
    case .stored(let segment):
      logger.debug("WAL segment stored", metadata: ["timeline": "\(segment.timeline)", "number": "\(segment.number)"])
    case .storeFailed(let store, let report, let attempts):
      failed(condition(storeConditionID(store), .warning, report, store: store), patience: WALTroubles.patience)
      logger.warning(
        "WAL not stored, trying again",
        metadata: ["store": "\(store)", "attempt": "\(attempts)", "error": "\(report)"])
    case .storeRecovered(let store):
      let wasTroubled = troubles.ended(storeConditionID(store))
      if resolve(storeConditionID(store)) || wasTroubled {
        logger.notice("WAL store works again", metadata: ["store": "\(store)"])
      }
    case .landingNotCleaned(let report):
      logger.warning("WAL landing directory not cleaned", metadata: ["error": "\(report)"])
    }
  }

  private func storeConditionID(_ store: StoreID) -> String { "wal-store:\(job.cluster):\(store)" }

  private func failed(_ condition: Condition, patience: Duration) {
    if troubles.failed(condition, patience: patience) { raise(condition, unless: explanation(of: condition)) }
  }

  /// The condition of a server or store that cannot be reached at all, which is told by whoever asks it.
  private func explanation(of condition: Condition) -> String {
    condition.store.map { "store-unreachable:\($0)" } ?? "server:\(job.cluster)"
  }

  // MARK: Space

  /// Told early enough that a disk can be added or a store mended; ends when there is twice as much time.
  private static let warningTime: Duration = .seconds(6 * 3600)
  private static let criticalTime: Duration = .seconds(3600)

  private func takeBacklog(_ event: WALEvent) {
    let landing = "wal-landing:\(job.cluster)"
    switch event {
    case .landingFull(let path):
      let report = ErrorReport(
        summary: "no more WAL of cluster \"\(job.cluster)\" is taken: the disk of \"\(path)\" is nearly full",
        detail: "The server keeps it meanwhile, on its own disk.",
        hint: "Free space there, or mend the store that does not take WAL: \"backupctl wal status\".")
      logger.error("WAL is not taken", metadata: ["error": "\(report)"])
      raise(.critical, report, id: landing)
    case .landingHasRoom:
      logger.notice("WAL is taken again")
      resolve(landing)
    case .slotDropped(let slot, let reason):
      logger.error("replication slot dropped", metadata: ["slot": "\(slot)", "reason": "\(reason)"])
    case .landingForecast(let left):
      forecast(left, id: landing, "the disk of \"\(landingDirectory)\", where WAL waits for the stores, will be full")
    case .serverForecast(let left, let backlog):
      forecast(
        left, id: "wal-server:\(job.cluster)",
        "the server of cluster \"\(job.cluster)\" cannot keep WAL for slot \"\(job.slot)\" much longer",
        "It keeps \(ByteCount(backlog.retained)) for it.")
    default: break
    }
  }

  private func forecast(_ left: Duration?, id: String, _ what: String, _ more: String? = nil) {
    guard let left, left < Self.warningTime * 2 else {
      // What says that nothing is taken is resolved by what says that it is.
      if state.conditions().first(where: { $0.id == id })?.report.summary.hasPrefix("no more WAL") != true {
        resolve(id)
      }
      return
    }
    guard left < Self.warningTime else { return }
    let time = DurationText.format(.seconds(left.components.seconds / 60 * 60))
    raise(
      left < Self.criticalTime ? .critical : .warning,
      ErrorReport(
        summary: what,
        detail: ["At the rate of the last minutes in \(time).", more].compactMap { $0 }.joined(separator: " "),
        hint:
          "See what holds it up with \"backupctl wal status\": a store that does not answer, a link that is too slow."),
      id: id)
  }

  private func condition(
    _ id: String, _ severity: Condition.Severity, _ report: ErrorReport, store: StoreID? = nil
  ) -> Condition {
    // A hole is the cluster's: it stays where a job of another name takes over.
    let isGap = id == Self.gapCondition(of: job.cluster)
    return Condition(
      id: id, severity: severity, since: .now(), report: report, cluster: job.cluster, job: isGap ? nil : job.id,
      store: store)
  }

  private func raise(_ severity: Condition.Severity, _ report: ErrorReport, id: String? = nil) {
    raise(condition(id ?? conditionID, severity, report))
  }

  private func raise(_ condition: Condition, unless explanation: String? = nil) {
    if let explanation, state.isRaised(explanation) { return }
    logger.attempt { try state.raise(condition) }
  }

  /// - Returns: Whether it was raised.
  @discardableResult
  private func resolve(_ id: String) -> Bool {
    var wasRaised = false
    logger.attempt { wasRaised = try state.resolve(id) != nil }
    return wasRaised
  }
}

extension WALGap {
  /// What is lost, and what follows from it.
  fileprivate var report: ErrorReport {
    ErrorReport(
      summary: "WAL of timeline \(timeline) is missing from \(first) to \(end)",
      detail: reason + " No instant in between can be restored.",
      hint: "A new base backup makes later instants restorable again; one is taken as soon as a physical job can run.")
  }
}
