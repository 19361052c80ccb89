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
  }

  /// Durable on return. One store that has it makes it a backup, also where a cancellation came in between: who throws
  /// here takes the packs away.
  /// - Parameters:
  ///   - objects: The parts, then the manifest.
  ///   - lacking: Stores that lack what the backup needs besides its packs, and why.
  func publish(
    _ objects: [(ObjectName, SealedBuffer)], of id: BackupID, without lacking: [StoreID: ErrorReport],
    cancellation: Cancellation
  ) throws -> Outcome {
    var failures = sender.failures.merging(lacking) { first, _ in first }
    let holding = repository.required.filter { failures[$0.id] == nil }
    var published: [StoreID] = []
    var lastError: (any Error)?
    for store in holding {
      do {
        try publish(objects, of: id, in: store, cancellation: cancellation)
        published.append(store.id)
      } catch {
        failures[store.id] = ErrorReport(error)
        lastError = error
      }
    }
    if published.isEmpty { throw lastError ?? CancellationError() }
    let missing = repository.required.map(\.id).filter { !published.contains($0) }
    return Outcome(published: published, failures: failures, missing: missing)
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
