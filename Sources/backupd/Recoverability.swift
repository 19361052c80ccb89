import BackupModel
import BlockingWork
import ControlProtocol
import Repository

/// What can be restored, from the stores' own listings. Remembered for some seconds: `status --watch` asks often.
actor Recoverability {
  struct Answer: Sendable {
    var systemIdentifier: SystemIdentifier?
    var windows: [RecoveryWindow] = []
    var stores: [StoreWindows] = []
    var lastBackup: Backup?
    /// Those that can be restored, oldest first.
    var backups: [Backup] = []
    var conditions: [Condition] = []
  }

  private var repository: Repository
  private var generation = 0
  private let lane = Lane(label: "monitoring.recoverability")
  private var answers: [ClusterID: (answer: Answer, at: ContinuousClock.Instant, lastSuccess: Timestamp?)] = [:]

  init(_ repository: Repository) { self.repository = repository }

  /// The configuration names other stores now.
  func replace(with repository: Repository) {
    self.repository = repository
    generation += 1
    answers = [:]
  }

  /// - Parameter lastSuccess: When a job last succeeded: what was known before is out of date.
  /// - Parameter freshness: An older answer is not good enough.
  func look(
    at cluster: ClusterID, lastSuccess: Timestamp?, freshness: Duration = .seconds(5)
  ) async throws -> Answer {
    if let known = answers[cluster], known.lastSuccess == lastSuccess,
      ContinuousClock.now - known.at < freshness
    {
      return known.answer
    }
    let (repository, generation) = (repository, generation)
    let answer = try await lane.run { _ in try Self.read(repository, cluster) }
    // What was read while the stores were replaced is of those that were.
    if generation == self.generation { answers[cluster] = (answer, .now, lastSuccess) }
    return answer
  }

  private static func read(_ repository: Repository, _ cluster: ClusterID) throws -> Answer {
    var answer = Answer()
    answer.stores = repository.stores.map { StoreWindows(store: $0.id, windows: []) }
    let catalog = BackupCatalog(repository)
    for lineage in try repository.lineages(of: cluster) {
      let (backups, damaged) = try catalog.list(lineage)
      let wal = try WALCatalog(repository, lineage)
      answer.systemIdentifier = lineage.systemIdentifier
      answer.backups += backups.filter { $0.deleted == nil }
      answer.lastBackup = backups.last { $0.deleted == nil && $0.kind == .physical } ?? answer.lastBackup
      answer.windows += try catalog.recoverableSpans(backups, wal).map(RecoveryWindow.init)
      for index in answer.stores.indices where wal.failures[answer.stores[index].store] == nil {
        answer.stores[index].windows += try catalog.recoverableSpans(backups, wal, in: answer.stores[index].store)
          .map(RecoveryWindow.init)
      }
      for damage in damaged {
        answer.conditions.append(
          Condition(
            id: "damaged-backup:\(damage.backup)", severity: .critical, since: damage.backup.started,
            report: damage.report, cluster: cluster))
      }
    }
    return answer
  }
}

extension RecoveryWindow {
  fileprivate init(_ span: RecoverableSpan) {
    self.init(from: span.from, to: span.to, fromLSN: span.fromLSN, toLSN: span.toLSN, timeline: span.timeline)
  }
}
