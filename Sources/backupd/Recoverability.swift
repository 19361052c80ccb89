import BackupModel
import BlockingWork
import ControlProtocol
import Repository
import Synchronization

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

  /// A listing of the stores, for all who ask while it goes on.
  private final class Reading: Sendable {
    let result = Mutex<Result<Answer, any Error>?>(nil)
  }

  /// Stores that hold much, or answer slowly, take longer than anybody waits who asks how things are.
  private static let patience: Duration = .seconds(5)

  private var repository: Repository
  private var generation = 0
  private let lane = Lane(label: "monitoring.recoverability")
  private var answers: [ClusterID: (answer: Answer, at: ContinuousClock.Instant, lastSuccess: Timestamp?)] = [:]
  private var readings: [ClusterID: Reading] = [:]

  init(_ repository: Repository) { self.repository = repository }

  /// The configuration names other stores now.
  func replace(with repository: Repository) {
    self.repository = repository
    generation += 1
    answers = [:]
    readings = [:]
  }

  /// What the stores hold, or what they held where they take long to say.
  /// - Parameters:
  ///   - lastSuccess: When a job last succeeded: what was known before is out of date.
  ///   - freshness: An older answer is good enough only where there is no newer one in time.
  /// - Throws: ``StoresNotListed`` where nothing is known yet; what the stores throw.
  func look(
    at cluster: ClusterID, lastSuccess: Timestamp?, freshness: Duration = .seconds(5)
  ) async throws -> Answer {
    if let known = answers[cluster], known.lastSuccess == lastSuccess,
      ContinuousClock.now - known.at < freshness
    {
      return known.answer
    }
    let reading = readings[cluster] ?? begin(cluster, lastSuccess)
    let end = ContinuousClock.now + Self.patience
    var pause: Duration = .milliseconds(1)
    while ContinuousClock.now < end {
      if let result = reading.result.withLock({ $0 }) { return try result.get() }
      try await Task.sleep(for: pause)
      pause = min(pause * 2, .milliseconds(50))
    }
    if let known = answers[cluster] { return known.answer }
    throw StoresNotListed(cluster: cluster)
  }

  private func begin(_ cluster: ClusterID, _ lastSuccess: Timestamp?) -> Reading {
    let reading = Reading()
    readings[cluster] = reading
    let (repository, generation) = (repository, generation)
    Task {
      let result: Result<Answer, any Error>
      do {
        result = .success(try await lane.run { _ in try Self.read(repository, cluster) })
      } catch {
        result = .failure(error)
      }
      reading.result.withLock { $0 = result }
      // What was read while the stores were replaced is of those that were.
      guard generation == self.generation else { return }
      readings[cluster] = nil
      if case .success(let answer) = result { answers[cluster] = (answer, .now, lastSuccess) }
    }
    return reading
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

/// Nothing is known yet of what can be restored.
struct StoresNotListed: OperatorError {
  var cluster: ClusterID
  var summary: String { "the stores are still being listed" }
  var detail: String? { "What cluster \"\(cluster)\" can be restored from is not known yet." }
  var hint: String? { "Ask again in a minute: stores that hold much, or answer slowly, take so long." }
}

extension RecoveryWindow {
  fileprivate init(_ span: RecoverableSpan) {
    self.init(from: span.from, to: span.to, fromLSN: span.fromLSN, toLSN: span.toLSN, timeline: span.timeline)
  }
}
