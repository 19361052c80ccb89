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
    var failures = sender.failures.merging(lacking) { first, _ in first }
    let holding = repository.required.filter { failures[$0.id] == nil }
    let manifest = ManifestWriter(repository: repository, lineage: lineage)
    let objects = try manifest.write(header, packs: usage.livePacks, files: table)
    finishCache(header)
    var published: [StoreID] = []
    var lastError: (any Error)?
    var warnings: [ErrorReport] = []
    for store in holding {
      do {
        // Before there is a manifest: nothing that is listed leans on what anybody may delete.
        if let failure = try extendLocks(header, in: store, cancellation) { warnings.append(ErrorReport(failure)) }
        try publish(objects, of: header.id, in: store, cancellation: cancellation)
        published.append(store.id)
      } catch {
        failures[store.id] = ErrorReport(error)
        lastError = error
      }
    }
    // One store that has it makes it a backup, also where a cancellation came in between: who throws here takes the
    // packs away.
    if published.isEmpty { throw lastError ?? CancellationError() }
    let missing = repository.required.map(\.id).filter { !published.contains($0) }
    warnings += settle(header.id, isComplete: missing.isEmpty)
    return Committed(
      backup: header.backup(stores: published, missingStores: missing), failures: failures, warnings: warnings)
  }

  /// WAL needs none: what the backup needs of it is as young as the backup.
  private func extendLocks(
    _ header: ManifestHeader, in store: RepositoryStore, _ cancellation: Cancellation
  ) throws -> RepositoryError? {
    guard let locks = LockExtension(store) else { return nil }
    // Parts of this manifest are put, and locked, after this.
    var names = try repository.commonNames(in: store) + lineage.names(of: usage.livePacks, parts: [])
    if header.timeline.value > 1 { names.append(lineage.history(header.timeline)) }
    return try locks.extend(names, cancellation)
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

  /// Puts the objects of a manifest into one store; what was put is taken back where that fails.
  private func publish(
    _ objects: [(ObjectName, SealedBuffer)], of id: BackupID, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    var put: [ObjectName] = []
    do {
      for (name, buffer) in objects {
        put.append(name)
        try StoreWriter.put(name, buffer.bytes, in: store, cancellation: cancellation)
      }
      // Read again what the backup hangs on: a store that lies about this object lies about the backup.
      _ = try BackupCatalog.readHeader(of: id, lineage, in: store, keys: repository.keys)
    } catch {
      // Somebody else's object of that name stays.
      if case StorageError.alreadyExists = error { put.removeLast() }
      do {
        // The root first: a manifest without its parts or packs must never be seen.
        for name in put.reversed() { try store.objects.delete(name) }
      } catch {
        sender.keepWritten(in: store.id)
      }
      throw error
    }
  }
}
