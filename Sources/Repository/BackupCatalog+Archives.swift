public import BackupModel

extension BackupCatalog {
  /// As ``list(_:)``, with the copies in on-copy stores: those of backups that are elsewhere, and those that are nowhere
  /// else any more.
  /// - Returns: Beside the backups the on-copy stores that could not be asked, and why.
  public func listWithArchives(
    _ cluster: ClusterID? = nil
  ) throws -> (backups: [Backup], damaged: [Damage], unheard: [StoreID: ErrorReport]) {
    var (backups, damaged) = try list(cluster)
    var unheard = repository.unheard
    for archive in repository.archives {
      guard let alone = repository.alone(in: archive.id) else { continue }
      do {
        let (copies, broken) = try BackupCatalog(alone).list(cluster)
        damaged += broken
        for copy in copies {
          if let index = backups.firstIndex(where: { $0.id == copy.id }) {
            if copy.deleted == nil { backups[index].stores.append(archive.id) }
          } else {
            backups.append(copy)
          }
        }
      } catch let error as any OperatorError {
        unheard[archive.id] = ErrorReport(error)
      }
    }
    // Ids rise with sequence numbers, and from lineage to lineage.
    if !repository.archives.isEmpty { backups.sort { ($0.cluster, $0.id) < ($1.cluster, $1.id) } }
    return (backups, damaged, unheard)
  }
}
