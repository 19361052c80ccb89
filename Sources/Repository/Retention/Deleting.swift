public import BackupModel
public import BlockingWork
internal import Storage

extension BackupCatalog {
  /// Deletes a backup: it is listed as deleted, nothing uses it any more, and prune removes it 24 hours later.
  ///
  /// - Parameter reason: For people.
  /// - Returns: Its tombstone; the one there was, where it was deleted before.
  /// - Throws: ``RetentionError/lastRestorable(_:_:)``, ``RepositoryError/backupMissing(_:of:)``, `StorageError`.
  @discardableResult
  public func delete(
    _ id: BackupID, reason: String, now: Timestamp = .now(), cancellation: Cancellation
  ) throws -> Tombstone {
    let lineage = try lineage(of: id)
    let deletions = try Deletions(repository, lineage)
    if let tombstone = deletions.tombstone(of: id) { return tombstone }
    try refuseLast(id, lineage, deletions)
    return try speak(.delete, id, lineage, deletions, reason, now, cancellation)
  }

  /// Brings a deleted backup back, once everything it needs is found to be there still.
  /// - Throws: ``RetentionError/incomplete(_:reason:)``, ``RetentionError/notDeleted(_:)``.
  public func undelete(
    _ id: BackupID, reason: String, now: Timestamp = .now(), cancellation: Cancellation
  ) throws {
    let lineage = try lineage(of: id)
    let deletions = try Deletions(repository, lineage)
    guard deletions.tombstone(of: id) != nil else { throw RetentionError.notDeleted(id) }
    try requireWhole(id, lineage)
    _ = try speak(.undelete, id, lineage, deletions, reason, now, cancellation)
    // A prune may have been about to remove it when it looked last.
    try requireWhole(id, lineage)
  }

  /// - Throws: ``RetentionError/deleted(_:at:)``.
  public func refuseDeleted(_ id: BackupID, _ lineage: Lineage) throws {
    if let tombstone = try Deletions(repository, lineage).tombstone(of: id) {
      throw RetentionError.deleted(id, at: tombstone.at)
    }
  }

  func lineage(of id: BackupID) throws -> Lineage {
    for cluster in try repository.clusters() {
      for lineage in try repository.lineages(of: cluster) {
        for store in repository.stores where try store.objects.size(of: lineage.manifest(id)) != nil { return lineage }
      }
    }
    throw RepositoryError.backupMissing(id, of: nil)
  }

  /// Each store that has the backup must have another that could be restored.
  private func refuseLast(_ id: BackupID, _ lineage: Lineage, _ deletions: Deletions) throws {
    let wal = try WALCatalog(repository, lineage)
    for store in repository.stores where try store.objects.size(of: lineage.manifest(id)) != nil {
      let others = try headers(lineage, in: store).filter { $0.id != id && deletions.tombstone(of: $0.id) == nil }
      // A dump is no substitute for a physical backup; a physical backup is one for any dump.
      let isPhysical = (try? readHeader(of: id, lineage))?.kind != .logical
      let restorability = try Restorability(repository, lineage, in: store, wal: wal)
      // One that cannot be restored itself is no loss.
      let substitutes = isPhysical ? others.filter { $0.kind == .physical } : others
      if try restorability.newest(of: substitutes) == nil, try restorability.obstacle(id) == nil {
        throw RetentionError.lastRestorable(id, lineage.cluster)
      }
    }
  }

  /// Those that can be read, in the order of their ids: one that cannot is no substitute.
  private func headers(_ lineage: Lineage, in store: RepositoryStore) throws -> [ManifestHeader] {
    try store.objects.list(below: lineage.backupsPrefix).objects
      .compactMap { try? BackupID($0.name.lastComponent) }.sorted()
      .compactMap { try? readHeader(of: $0, lineage) }
  }

  private func requireWhole(_ id: BackupID, _ lineage: Lineage) throws {
    let wal = try WALCatalog(repository, lineage)
    var obstacle: String?
    for store in repository.stores {
      guard let found = try Restorability(repository, lineage, in: store, wal: wal).obstacle(id) else { return }
      obstacle = obstacle ?? found
    }
    throw RetentionError.incomplete(id, reason: obstacle ?? "No store has it.")
  }

  private func speak(
    _ action: Tombstone.Action, _ id: BackupID, _ lineage: Lineage, _ deletions: Deletions, _ reason: String,
    _ now: Timestamp, _ cancellation: Cancellation
  ) throws -> Tombstone {
    guard let number = deletions.next(id) else {
      throw RetentionError.lastWordTaken(lineage.tombstone(id, NameNumber.highest).text)
    }
    let tombstone = Tombstone(backup: id, number: number, action: action, reason: reason, at: now)
    for store in repository.stores {
      do {
        try repository.putDocument(
          tombstone, lineage.tombstone(id, tombstone.number), in: store, cancellation: cancellation)
      } catch StorageError.alreadyExists {
        throw RetentionError.contended(id)
      }
    }
    return tombstone
  }
}
