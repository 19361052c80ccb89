public import BackupModel
internal import BlockingWork
internal import Repository

/// Copies the newest physical backup of one cluster to an on-copy store.
public struct CopyJob: JobBody, Hashable {
  public var cluster: ClusterID
  public var store: StoreID

  public init(cluster: ClusterID, to store: StoreID) {
    self.cluster = cluster
    self.store = store
  }

  /// Backups do not wait for the line to a distant store.
  public var isExclusive: Bool { false }
  public func accepts(_ other: any JobBody) -> Bool { false }

  public func attempt(_ context: RunContext) async throws -> RunResult {
    guard let copier = BackupCopier(context.repository, to: store, of: cluster) else { throw CopyError.noStore(store) }
    let run = context.run
    let began = ContinuousClock.now
    let result = try await context.blocking { try copier.run(cancellation: $0) { run.progress($0) } }
    run.change {
      $0.backup = result.backup
      $0.storedBytes = result.bytes
      $0.phases = [RunPhase(name: "copy", durationSeconds: (ContinuousClock.now - began).secondsValue)]
      for backup in result.passedOver {
        $0.warnings.append("passed over backup \(backup): not all of its WAL lies in whole segments yet")
      }
    }
    // Nobody takes over a copy.
    return RunResult()
  }
}
