public import BackupModel
public import BlockingWork
public import KeyManagement
internal import Storage

extension Repository {
  /// Makes empty stores part of a repository: its keys, and then its root. What backups need follows, see ``StoreFiller``.
  ///
  /// - Parameters:
  ///   - empty: Stores that hold nothing.
  ///   - existing: Stores of one repository.
  /// - Returns: The repository's id.
  /// - Throws: ``RepositoryError/alreadyExists(_:location:)`` for a store that holds anything, and what opening throws.
  public static func add(
    _ empty: [RepositoryStore], to existing: [RepositoryStore], unlocking: Unlocking, cancellation: Cancellation
  ) throws -> RepositoryID {
    // Opened first: nothing is copied that does not fit together or that nobody can unlock.
    let repository = try open(stores: existing, unlocking: unlocking)
    for store in empty where try !isEmpty(store) {
      throw RepositoryError.alreadyExists(store.id, location: store.objects.location)
    }
    for store in empty { try store.requireLock() }
    // An empty place is no repository to add to, and is not told of as one.
    if let other = existing.first(where: { (try? repository.holdsRoot($0)) == false }) {
      throw RepositoryError.missingRepository(stores: [other.id])
    }
    let root = try repository.firstAnswer(for: rootName) { store -> [UInt8] in
      _ = try readRoot(store)
      return try store.objects.readAll(rootName, limit: 1 << 20)
    }
    for (name, bytes) in try repository.usableEnvelopes() + [(name: rootName, bytes: root)] {
      for store in empty {
        try bytes.withUnsafeBytes { try StoreWriter.put(name, $0, in: store, cancellation: cancellation) }
      }
    }
    return repository.id
  }

  /// The envelopes of the data keys that opened, of all recipients, by name.
  ///
  /// Other objects below `keys/` are left where they are: anybody who can write to a store can put some there.
  /// - Throws: `StorageError` where one that may be an envelope could not be read.
  func usableEnvelopes() throws -> [(name: ObjectName, bytes: [UInt8])] {
    var found: [ObjectName: [UInt8]] = [:]
    var failures: [ObjectName: StorageError] = [:]
    for key in keys.ids {
      for (store, listing) in try listings(below: "keys/\(key)") {
        for object in listing.objects where found[object.name] == nil {
          do {
            let bytes = try store.objects.readAll(object.name, limit: 1 << 20)
            let envelope = try Self.decodeEnvelope(bytes, object.name, in: store)
            if envelope.repository == id, envelope.key == key { found[object.name] = bytes }
          } catch let error as StorageError where error.retryMayHelp {
            failures[object.name] = error
          } catch let error where error is StorageError || error is RepositoryError || error is KeyError {
            // No envelope that anybody could open.
          }
        }
      }
    }
    let missing = failures.filter { found[$0.key] == nil }
    if let first = missing.min(by: { $0.key < $1.key }) { throw first.value }
    return found.sorted { $0.key < $1.key }.map { (name: $0.key, bytes: $0.value) }
  }
}
