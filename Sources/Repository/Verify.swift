public import BackupModel
public import BlockingWork
internal import Storage
import Synchronization

/// Reads a backup back, in each store for itself, and lists every object that could not be used for a restore.
///
/// Blocks; call it on a lane.
public struct Verifier: Sendable {
  let repository: Repository

  public init(repository: Repository) { self.repository = repository }

  /// - Parameters:
  ///   - workers: Threads that read packs, where all is read.
  ///   - observe: Called from several threads with the bytes read so far.
  /// - Throws: ``RepositoryError/backupMissing(_:of:)``; `CancellationError`. Damage is no error but a finding.
  public func verify(
    _ id: BackupID, of cluster: ClusterID? = nil, depth: VerifyDepth, workers: Int = 2, cancellation: Cancellation,
    observe: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) throws -> VerifyReport {
    let (lineage, stores) = try holders(of: id, cluster)
    var report = VerifyReport(
      backup: id, cluster: lineage.cluster, depth: depth, stores: stores.map(\.id), files: 0, objects: 0,
      bytes: ByteCount(0), damage: [])
    for store in stores {
      let alone = Repository(id: repository.id, keys: repository.keys, stores: [store])
      let walk = VerifyWalk(
        repository: alone, lineage: lineage, backup: id, depth: depth, workers: workers, cancellation: cancellation,
        done: report.bytes.value, observe: observe)
      let (files, findings) = try walk.run()
      report.files = max(report.files, files)
      report.objects += findings.objects
      report.bytes = report.bytes + ByteCount(findings.bytes)
      report.damage += findings.damage
      report.unread += findings.unread
    }
    return report
  }

  /// The stores that list the manifest.
  private func holders(of id: BackupID, _ cluster: ClusterID?) throws -> (Lineage, [RepositoryStore]) {
    for cluster in try cluster.map({ [$0] }) ?? repository.clusters() {
      for lineage in try repository.lineages(of: cluster) {
        let stores = try repository.stores.filter { try $0.objects.size(of: lineage.manifest(id)) != nil }
        if !stores.isEmpty { return (lineage, stores) }
      }
    }
    throw RepositoryError.backupMissing(id, of: cluster)
  }
}
