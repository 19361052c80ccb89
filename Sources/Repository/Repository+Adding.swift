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
    for name in try repository.envelopeNames() + [rootName] {
      let bytes = try repository.firstAnswer(for: name) { try $0.objects.readAll(name, limit: 1 << 20) }
      for store in empty {
        try bytes.withUnsafeBytes { try StoreWriter.put(name, $0, in: store, cancellation: cancellation) }
      }
    }
    return repository.id
  }

  /// The wrapped data keys of all recipients, in order.
  func envelopeNames() throws -> [ObjectName] {
    var names: Set<ObjectName> = []
    for (_, listing) in try listings(below: "keys") {
      for key in listing.prefixes {
        for (_, envelopes) in try listings(below: "keys/\(key)") { names.formUnion(envelopes.objects.map(\.name)) }
      }
    }
    return names.sorted()
  }
}
