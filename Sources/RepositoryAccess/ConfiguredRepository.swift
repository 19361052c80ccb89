public import DaemonConfiguration
public import KeyManagement
public import Repository
internal import Storage

/// From the configuration's words to the repository's own: what both programs do before they touch a repository.
public enum ConfiguredRepository {
  public static func stores(_ settings: RepositorySettings) -> [RepositoryStore] {
    settings.stores.map { store in
      let durability: Durability =
        switch store.durability {
        case .required: .required
        }
      return RepositoryStore(id: store.id, objects: PosixStore(root: store.path), durability: durability)
    }
  }

  /// - Throws: `KeyError` where the key file is missing, open to others or not a key file.
  public static func unlocking(_ settings: RepositorySettings) throws -> Unlocking {
    switch settings.encryption {
    case .keyFile(let path): .keyFile(try KeyFile.read(path))
    case .none: .unwrapped
    }
  }

  /// Removes what writers that died left in the stores' places for unfinished objects.
  public static func sweep(_ repository: Repository) throws {
    for store in repository.stores { try (store.objects as? PosixStore)?.sweep() }
  }

  public static func open(_ settings: RepositorySettings) throws -> Repository {
    try Repository.open(stores: stores(settings), unlocking: unlocking(settings))
  }
}
