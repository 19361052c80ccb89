internal import BackupModel
internal import Storage
import Synchronization

/// Versions of objects that lie under what somebody put over them or under a mark that says deleted, in buckets that keep
/// them. They are read where no store has an object whole: what came later need not be given up for what was spoilt.
///
/// Any version that opens is the object: its name is sealed into it, and no two objects ever bear one name.
final class HiddenVersions: Sendable {
  private struct Key: Hashable {
    var name: ObjectName
    var store: StoreID
  }
  private let known = Mutex<[Key: [RepositoryStore]]>([:])

  /// - Parameter error: Why the store did not give the object.
  /// - Returns: Nothing where that is no sign that somebody spoilt it.
  func versions(of name: ObjectName, in store: RepositoryStore, after error: any Error) -> [RepositoryStore] {
    guard Self.mayBeSpoilt(name, error) else { return [] }
    let key = Key(name: name, store: store.id)
    if let known = known.withLock({ $0[key] }) { return known }
    // Rights that do not let it be asked leave the reason that there is.
    guard let hidden = try? store.objects.hiddenVersions(of: name) else { return [] }
    let versions = hidden.enumerated().map { number, objects in
      RepositoryStore(id: StoreID(unchecked: "\(store.id)-hidden-\(number)"), objects: objects)
    }
    known.withLock { $0[key] = versions }
    return versions
  }

  /// From now on only this one.
  func prefer(_ version: RepositoryStore, for name: ObjectName, in store: RepositoryStore) {
    known.withLock { $0[Key(name: name, store: store.id)] = [version] }
  }

  /// A manifest that is gone was deleted with its backup, and WAL that is not there may be on its way.
  private static func mayBeSpoilt(_ name: ObjectName, _ error: any Error) -> Bool {
    switch error {
    case is RepositoryError, StorageError.truncated: name.isOfBackup || name.isOfWAL
    case StorageError.missing: name.isOfContent
    default: false
    }
  }
}
