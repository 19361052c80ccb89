internal import BackupModel
internal import BlockingWork
internal import Storage

/// Publishes a manifest in every store that holds all it refers to.
struct ManifestPublisher {
  let repository: Repository
  let lineage: Lineage
  let sender: PackSender

  struct Outcome {
    var published: [StoreID]
    var failures: [StoreID: ErrorReport]
    var missing: [StoreID]
    var warnings: [ErrorReport]
  }

  /// Durable on return. One store that has it makes it a backup, also where a cancellation came in between: who throws
  /// here takes the packs away.
  /// - Parameters:
  ///   - objects: The parts, then the manifest.
  ///   - packs: What the backup leans on. Parts of this manifest are put, and locked, after that.
  ///   - lacking: Stores that lack what the backup needs besides its packs, and why.
  func publish(
    _ objects: [(ObjectName, SealedBuffer)], of header: ManifestHeader, on packs: [ManifestHeader.LivePack],
    without lacking: [StoreID: ErrorReport],
    cancellation: Cancellation
  ) throws -> Outcome {
    var failures = sender.failures.merging(lacking) { first, _ in first }
    let holding = repository.required.filter { failures[$0.id] == nil }
    var published: [StoreID] = []
    var lastError: (any Error)?
    var warnings: [ErrorReport] = []
    for store in holding {
      do {
        // Before there is a manifest: nothing that is listed leans on what anybody may delete.
        if let failure = try extendLocks(header, packs, in: store, cancellation) {
          warnings.append(ErrorReport(failure))
        }
        try publish(objects, of: header.id, in: store, cancellation: cancellation)
        published.append(store.id)
      } catch {
        failures[store.id] = ErrorReport(error)
        lastError = error
      }
    }
    if published.isEmpty { throw lastError ?? CancellationError() }
    let missing = repository.required.map(\.id).filter { !published.contains($0) }
    return Outcome(published: published, failures: failures, missing: missing, warnings: warnings)
  }

  /// WAL needs none: what the backup needs of it is as young as the backup.
  private func extendLocks(
    _ header: ManifestHeader, _ packs: [ManifestHeader.LivePack], in store: RepositoryStore,
    _ cancellation: Cancellation
  ) throws -> RepositoryError? {
    guard let locks = LockExtension(store) else { return nil }
    var names = try repository.commonNames(in: store) + lineage.names(of: packs, parts: [])
    if header.kind == .physical, header.timeline.value > 1 { names.append(lineage.history(header.timeline)) }
    return try locks.extend(names, cancellation)
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
