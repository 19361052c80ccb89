internal import BackupModel
internal import Storage

extension RepositoryStore {
  /// The same, of which nothing is asked before it holds the root of this repository.
  func waitingForRoot(of repository: RepositoryID) -> RepositoryStore {
    let guarded = GuardedStore(objects) { [id] objects in
      try Repository.requireRoot(of: repository, in: RepositoryStore(id: id, objects: objects))
    }
    return RepositoryStore(id: id, objects: guarded, durability: durability, keep: keep)
  }
}

extension Repository {
  /// - Throws: `StorageError`, whatever is wrong: the store counts as one that does not answer.
  static func requireRoot(of repository: RepositoryID, in store: RepositoryStore) throws {
    let cause: ErrorReport
    do {
      let found = try readRoot(store).repository
      if found == repository { return }
      cause = ErrorReport(summary: "it holds repository \(found), the others hold \(repository)")
    } catch let error as StorageError where error.isMissing {
      cause = ErrorReport(
        summary: "it holds no \"repository.json\", and other stores do",
        hint:
          "Mount its disk, or check its path. A new store is made part of the repository by \"backupctl repository create\"."
      )
    } catch let error as RepositoryError {
      cause = ErrorReport(error)
    }
    throw StorageError.failed("use", nil, in: store.objects.location, cause: cause, retry: .mayHelp)
  }
}
