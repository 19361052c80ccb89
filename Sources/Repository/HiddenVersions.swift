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
  private struct Known {
    var versions: [Key: [RepositoryStore]] = [:]
    /// Stores that do not say: without the rights, or on a server that does not know the question.
    var silent: Set<StoreID> = []
  }
  private let known = Mutex(Known())

  /// Runs `body` on versions of an object until one gives an answer, which is asked first from then on.
  /// - Parameter failures: Why the stores did not give it.
  /// - Returns: Nil where none does.
  func firstAnswer<Result>(
    for name: ObjectName, after failures: [(store: RepositoryStore, error: any Error)],
    _ body: (RepositoryStore) throws -> Result
  ) throws -> Result? {
    for (store, error) in failures where Self.mayBeSpoilt(name, error) {
      let key = Key(name: name, store: store.id)
      for version in versions(key, in: store) {
        do {
          let result = try body(version)
          known.withLock { $0.versions[key] = [version] }
          return result
        } catch let error where error is StorageError || error is RepositoryError {
          // What the store itself has is what is told of.
          continue
        }
      }
    }
    return nil
  }

  private func versions(_ key: Key, in store: RepositoryStore) -> [RepositoryStore] {
    if let known = known.withLock({ $0.versions[key] ?? ($0.silent.contains(store.id) ? [] : nil) }) { return known }
    do {
      let versions = try store.objects.hiddenVersions(of: key.name).enumerated().map { number, objects in
        RepositoryStore(id: StoreID(unchecked: "\(store.id)-hidden-\(number)"), objects: objects)
      }
      known.withLock { $0.versions[key] = versions }
      return versions
    } catch {
      // What is wrong with the object is what matters; and each question may take a while.
      known.withLock { _ = $0.silent.insert(store.id) }
      return []
    }
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
