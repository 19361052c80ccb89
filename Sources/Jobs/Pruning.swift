internal import BackupModel
internal import BackupPipeline
internal import BlockingWork
internal import JobState
internal import Logging
internal import Repository

/// Prunes one cluster: clocks compared first, the outcome recorded, what is wrong raised as a condition.
struct Pruning: Sendable {
  static let interval: Duration = .seconds(86400)
  /// After one that did not succeed.
  static let retryInterval: Duration = .seconds(3600)
  private static let clockTolerance: Duration = .seconds(600)

  let cluster: ClusterID
  let retention: ClusterRetention
  let repository: Repository
  let state: JobStateStore
  let logger: Logger

  private var conditionID: String { "prune:\(cluster)" }

  /// - Returns: Whether all of it was done.
  func perform() async -> Bool {
    let lane = Lane(label: "prune.\(cluster)")
    do {
      let reports = try await lane.run { try self.prune($0) }
      return try finish(reports)
    } catch is CancellationError {
      return false
    } catch {
      raise(ErrorReport(error))
      return false
    }
  }

  private func prune(_ cancellation: Cancellation) throws -> [PruneReport] {
    try checkClock()
    let difference = try ServerClock.difference(to: retention.connection.revealText(), cancellation: cancellation)
    guard difference.magnitude <= Self.clockTolerance else {
      throw RetentionError.clockDiffers(of: "the server", by: difference)
    }
    let reports = try Pruner(repository: repository, cluster: cluster, options: .init(rules: retention.rules)).run(
      cancellation: cancellation)
    return try reports
      + Pruner.runArchives(of: repository, cluster, rules: retention.archives, cancellation: cancellation)
  }

  /// A clock that was set tells wrong ages. What it says now is taken for right after a day in which nobody sets it again.
  private func checkClock() throws {
    let now = Timestamp.now()
    guard let last = try state.pruneState(of: cluster, now: now) else { return }
    let jump = last.clockJump(now: now)
    if jump.magnitude > Self.clockTolerance {
      try state.record(
        PruneState(
          cluster: cluster, finished: now, succeeded: false, freedBytes: ByteCount(0),
          clockJumpSeconds: jump.components.seconds))
      throw RetentionError.clockJumped(by: jump, since: last.finished)
    }
    if let seconds = last.clockJumpSeconds, last.finished + Self.interval > now {
      throw RetentionError.clockJumped(by: .seconds(seconds), since: last.finished)
    }
  }

  private func finish(_ reports: [PruneReport]) throws -> Bool {
    let freed = reports.reduce(ByteCount(0)) { $0 + $1.freedBytes }
    let deleted = reports.flatMap(\.entries).filter { $0.kind == "backup" && $0.action == .tombstone }
    let removed = reports.flatMap(\.entries).filter { $0.kind == "backup" && $0.action == .remove }
    let errors = reports.compactMap(\.error)
    try record(reports, freed: freed, succeeded: errors.isEmpty)
    for entry in deleted + removed {
      logger.notice(
        entry.action == .tombstone ? "backup deleted" : "backup removed",
        metadata: ["cluster": "\(cluster)", "backup": "\(entry.name ?? "")", "reason": "\(entry.reason)"])
    }
    logger.info(
      "prune ends",
      metadata: [
        "cluster": "\(cluster)", "deletedBackups": "\(deleted.count)", "removedBackups": "\(removed.count)",
        "freedBytes": "\(freed.value)",
      ])
    for report in reports {
      guard let refusal = report.refusal else { continue }
      // A fact of the configuration: some other host prunes.
      logger.info(
        "store not pruned, its keys may not delete",
        metadata: ["cluster": "\(cluster)", "store": "\(report.store)", "error": "\(refusal)"])
    }
    if let error = errors.first {
      raise(error)
    } else {
      _ = try state.resolve(conditionID)
    }
    return errors.isEmpty
  }

  private func record(_ reports: [PruneReport], freed: ByteCount, succeeded: Bool) throws {
    let now = Timestamp.now()
    var prune = PruneState(cluster: cluster, finished: now, succeeded: succeeded, freedBytes: freed)
    prune.waitingBytes = reports.flatMap(\.entries).filter { $0.action == .wait }
      .reduce(ByteCount(0)) { $0 + $1.bytes }
    prune.count(after: try state.pruneState(of: cluster, now: now))
    try state.record(prune)
  }

  private func raise(_ report: ErrorReport) {
    logger.error(
      "prune failed",
      metadata: [
        "cluster": "\(cluster)", "error": "\(report)", JournalMessage.key: JournalMessage.pruneFailed.metadata,
      ])
    logger.attempt {
      try state.raise(
        Condition(id: conditionID, severity: .warning, since: .now(), report: report, cluster: cluster))
    }
  }
}
