public import BackupModel
public import BlockingWork
internal import Storage
import Synchronization

extension BackupWriter {
  /// What a commit made, and what the operator should hear of.
  public struct Committed: Sendable {
    public var backup: Backup
    /// Stores that lack it, and why.
    public var failures: [StoreID: ErrorReport]
    public var warnings: [ErrorReport]
  }

  /// Publishes the manifest in every store that holds all packs; durable on return. From then on there is a backup.
  /// - Parameters:
  ///   - header: Counts and sizes are filled in here.
  ///   - lacking: Stores that lack what the backup needs besides its packs, and why.
  public func commit(
    _ header: ManifestHeader, without lacking: [StoreID: ErrorReport] = [:], cancellation: Cancellation
  ) throws -> Committed {
    if let invalidPath { throw RepositoryError.entryInvalid(invalidPath) }
    let header = counted(header)
    let manifest = ManifestWriter(repository: repository, lineage: lineage)
    let objects = try manifest.write(header, packs: usage.livePacks, files: table)
    finishCache(header)
    let outcome = try ManifestPublisher(repository: repository, lineage: lineage, sender: sender).publish(
      objects, of: header, on: usage.livePacks, without: lacking, cancellation: cancellation)
    let warnings = outcome.warnings + settle(header.id, isComplete: outcome.missing.isEmpty)
    return Committed(
      backup: header.backup(stores: outcome.published, missingStores: outcome.missing), failures: outcome.failures,
      warnings: warnings)
  }

  private func counted(_ header: ManifestHeader) -> ManifestHeader {
    var header = header
    header.parent = options.parent?.parent
    header.fileCount = UInt64(table.count)
    header.totalBytes = ByteCount(totalBytes)
    // Pages that were stored anew without having changed are no news.
    let anew = UInt64(rewritten.load(ordering: .relaxed))
    header.newBytes = ByteCount(newBytes - min(newBytes, anew * UInt64(SealedFormat.slotSize)))
    header.pagesRead = pages
    header.pagesChanged = UInt64(changed.load(ordering: .relaxed))
    header.pagesRewritten = anew
    header.storedBytes = ByteCount(sender.storedBytes)
    return header
  }

  /// The cache is complete before there is a backup it could describe; it gets its name afterwards.
  private func finishCache(_ header: ManifestHeader) {
    guard let cache else { return }
    do {
      try cache.finish(
        .init(
          repository: repository.id, cluster: lineage.cluster, systemIdentifier: lineage.systemIdentifier,
          backup: header.id, pagesChanged: header.pagesChanged), usage)
    } catch {
      cacheFailure = ErrorReport(error)
    }
  }

  /// What is left to do once there is a backup; none of it can take the backup back.
  private func settle(_ backup: BackupID, isComplete: Bool) -> [ErrorReport] {
    var warnings: [ErrorReport] = []
    if let failure = options.parent?.failure {
      warnings.append(
        ErrorReport(summary: "some files were stored anew: \(failure.summary)", detail: failure.detail))
    }
    guard isComplete else { return warnings }
    do {
      if let caches = options.caches, cacheFailure == nil { try caches.publish() }
    } catch {
      cacheFailure = ErrorReport(error)
    }
    if let cacheFailure {
      warnings.append(
        ErrorReport(
          summary: "the next backup will store every page: \(cacheFailure.summary)", detail: cacheFailure.detail,
          hint: "Make room in the state directory, then run \"backupctl repository rebuild-cache\"."))
    }
    do {
      try RunCheckpoint.remove(upTo: backup, repository, lineage)
    } catch let error as StorageError where error.isDeletionRefused {
      // A prune with other keys takes them away.
    } catch {
      warnings.append(ErrorReport(error))
    }
    return warnings
  }
}
