public import BackupModel
public import Storage

/// The repository does not hold what it should, or not in a form that may be used.
public enum RepositoryError: OperatorError {
  case missingRepository(stores: [StoreID])
  case alreadyExists(StoreID, location: String)
  /// Two stores hold different repositories.
  case differentRepositories(StoreID, RepositoryID, StoreID, RepositoryID)
  case formatUnknown(String, StoreID, found: Int, known: Int)
  /// Bytes that do not open, or say what they must not.
  case damaged(ObjectName, in: StoreID, reason: String)
  /// Sealed with a data key that this repository's envelopes do not give.
  case keyMissing(ObjectName, in: StoreID, KeyID)
  case backupMissing(BackupID, of: ClusterID?)
  /// A physical backup where a dump was asked for.
  case notLogical(BackupID)
  case clusterMissing(ClusterID)
  /// No store has the bytes.
  case unavailable(ObjectName, [StoreID: ErrorReport])
  /// A path no manifest may hold: too long, or leading elsewhere.
  case entryInvalid(String)
  /// Pages of a file have no place: a fault of this program that must not become a backup.
  case filePagesMissing(String)
  /// The cluster was upgraded or re-initialised, or the connection leads elsewhere.
  case systemIdentifierDiffers(ClusterID, repository: SystemIdentifier, server: SystemIdentifier)
  /// What a backup leans on is there, and its lock may run out.
  case notLocked(StoreID, cause: ErrorReport)

  public var summary: String {
    switch self {
    case .missingRepository: "could not find a repository"
    case .alreadyExists(let store, _): "cannot create a repository in store \"\(store)\""
    case .differentRepositories: "cannot use stores of different repositories together"
    case .formatUnknown(let name, let store, _, _): "cannot read \"\(name)\" in store \"\(store)\""
    case .damaged(let name, let store, _): "cannot use \"\(name)\" in store \"\(store)\": it is damaged"
    case .keyMissing(let name, let store, _): "cannot open \"\(name)\" in store \"\(store)\""
    case .notLogical(let id): "cannot read a dump from backup \"\(id)\""
    case .backupMissing(let id, _): "could not find backup \"\(id)\""
    case .clusterMissing(let cluster): "could not find a backup of cluster \"\(cluster)\""
    case .unavailable(let name, _): "could not read \"\(name)\" from any store"
    case .entryInvalid(let path): "cannot store \"\(path.prefix(200))\""
    case .filePagesMissing(let path): "cannot store \"\(path.prefix(200))\""
    case .systemIdentifierDiffers(let cluster, _, _):
      "cannot back up cluster \"\(cluster)\": it is not the one in the repository"
    case .notLocked(let store, _): "could not lock for longer all that a backup needs in store \"\(store)\""
    }
  }

  public var detail: String? {
    switch self {
    case .missingRepository(let stores):
      stores.count == 1
        ? "Store \"\(stores[0])\" holds no \"repository.json\"."
        : "None of the stores \(Self.list(stores)) holds \"repository.json\"."
    case .alreadyExists(_, let location): "\(location) is not empty; a repository is made in an empty place only."
    case .differentRepositories(let a, let idA, let b, let idB):
      "Store \"\(a)\" holds repository \(idA), store \"\(b)\" holds \(idB)."
    case .formatUnknown(_, _, let found, let known):
      "It has format version \(found); this program knows versions up to \(known)."
    case .damaged(_, _, let reason): reason
    case .keyMissing(_, _, let key):
      "It is sealed with data key \(key), which is not among the keys of this repository."
    case .notLogical: "It is a physical backup: the files of a whole cluster."
    case .backupMissing(_, let cluster):
      cluster.map { "The repository holds no such backup of cluster \"\($0)\"." }
    case .clusterMissing: "No store holds a manifest of one."
    case .unavailable(_, let causes):
      causes.sorted { $0.key < $1.key }
        .map { "\($0.key): \($0.value.summary)" + ($0.value.detail.map { " (\($0))" } ?? "") }.joined(separator: "; ")
    case .entryInvalid: "Its path or link is too long, or does not stay below the data directory."
    case .filePagesMissing: "Some of its pages were neither stored nor taken over. This is a fault of this program."
    case .systemIdentifierDiffers(_, let known, let server):
      "The repository goes on with system identifier \(known); the server says \(server)."
    case .notLocked(_, let cause): cause.summary + (cause.detail.map { ": \($0)" } ?? "")
    }
  }

  public var hint: String? {
    switch self {
    case .missingRepository:
      "Mount its disk, or check the paths under \"repository.stores\". A new one is made by \"backupctl repository create\"."
    case .alreadyExists: "Name an empty directory, or keep using the repository that is there."
    case .differentRepositories: "Check the paths under \"repository.stores\" in the configuration."
    case .formatUnknown: "Use a newer version of this program."
    case .damaged: "Run \"backupctl verify\" to learn what else is affected; restore from another backup or store."
    case .keyMissing: "Check that the store holds every object below \"keys/\"."
    case .notLogical: "Run \"backupctl backups --kind logical\" to see the dumps there are."
    case .backupMissing, .clusterMissing: "Run \"backupctl backups\" to see what there is."
    case .unavailable(_, let causes):
      causes.sorted { $0.key < $1.key }.lazy.compactMap(\.value.hint).first
        ?? "Check that each store is mounted, under the path that \"repository.stores\" gives, and that it can be read."
    case .entryInvalid: nil
    case .filePagesMissing: "Run the job again, and report this."
    case .systemIdentifierDiffers(let cluster, _, _):
      "Check that the connection leads to the right server. If it was upgraded by pg_upgrade or made anew by initdb, run \"backupctl cluster accept \(cluster)\"."
    case .notLocked(_, let cause): cause.hint ?? "The next backup tries again."
    }
  }

  private static func list(_ stores: [StoreID]) -> String { stores.map { "\"\($0)\"" }.joined(separator: ", ") }
}
