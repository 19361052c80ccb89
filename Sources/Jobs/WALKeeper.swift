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
  /// Ends this keeper alone: its job was changed or removed.
  let cancellation = Cancellation()
  private let predecessor: Mutex<WALKeeper?>
  /// Finished when this keeper has ended.
  private let ended: AsyncStream<Never>
  private let endedInput: AsyncStream<Never>.Continuation

  /// - Parameter predecessor: Kept the same cluster until now; this one begins when it has ended, since two archivers
  ///   cannot share a slot and a landing directory.
  init(
    _ job: WALJob, repository: Repository, landingDirectory: String, state: JobStateStore, logger: Logger,
    predecessor: WALKeeper?,
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
    return WALArchiver(options, repository: repository, observe: observe)
  }

  private func newArchiver() -> WALArchiver {
    Self.makeArchiver(job, repository, landingDirectory) { [weak self] event in self?.take(event) }
  }

  /// Receives until cancelled. What only a person can mend is tried again every minute: they need not restart us too.
  func run() async {
    defer { endedInput.finish() }
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
    // The job was changed or removed: what was wrong with it no longer is, or its successor finds it again.
    if cancellation.isCancelled { resolve(conditionID) }
  }

  private func take(_ event: WALEvent) {
    switch event {
    case .connected(let server, let position):
      logger.info("WAL streaming begins", metadata: ["server": "\(server)", "position": "\(position)"])
      resolve(conditionID)
    case .slotCreated(let slot):
      logger.notice("replication slot created", metadata: ["slot": "\(slot)"])
    case .warned(let report):
      logger.warning("\(report.summary)", metadata: ["error": "\(report)"])
    case .receivingFailed(let report, let attempts, let delay):
      // The first failures of a restart are everyday; a minute without WAL is not.
      if attempts >= 5 { raise(.warning, report) }
      logger.warning(
        "WAL streaming interrupted, trying again",
        metadata: ["attempt": "\(attempts)", "retryAfter": "\(DurationText.format(delay))", "error": "\(report)"])
    case .receivingStopped(let report):
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
    case .stored(let segment):
      logger.debug("WAL segment stored", metadata: ["timeline": "\(segment.timeline)", "number": "\(segment.number)"])
    case .storeFailed(let store, let report, let attempts):
      if attempts >= 3 { raise(.warning, report, id: "wal-store:\(job.cluster):\(store)") }
      logger.warning(
        "WAL not stored, trying again",
        metadata: ["store": "\(store)", "attempt": "\(attempts)", "error": "\(report)"])
    case .storeRecovered(let store):
      logger.notice("WAL store works again", metadata: ["store": "\(store)"])
      resolve("wal-store:\(job.cluster):\(store)")
    case .landingNotCleaned(let report):
      logger.warning("WAL landing directory not cleaned", metadata: ["error": "\(report)"])
    }
  }

  private func raise(_ severity: Condition.Severity, _ report: ErrorReport, id: String? = nil) {
    let condition = Condition(id: id ?? conditionID, severity: severity, since: .now(), report: report)
    do {
      _ = try state.raise(condition)
    } catch {
      logger.error("condition not recorded", metadata: ["error": "\(ErrorReport(error))"])
    }
  }

  private func resolve(_ id: String) {
    do {
      _ = try state.resolve(id)
    } catch {
      logger.error("condition not recorded", metadata: ["error": "\(ErrorReport(error))"])
    }
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
