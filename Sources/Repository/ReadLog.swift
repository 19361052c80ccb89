internal import BackupModel
internal import Storage
import Synchronization

/// What was read from another store, or from an older version, since one had it damaged or lacked what it should hold:
/// nothing is lost by that yet, and somebody has to know.
public final class ReadLog: Sendable {
  private struct Found {
    var first: ObjectName
    var objects: Set<ObjectName>
  }
  private let found = Mutex<[StoreID: Found]>([:])

  public init() {}

  /// A store did not give an object that another one gave.
  func note(_ name: ObjectName, _ error: any Error, in store: RepositoryStore) {
    guard Self.isTold(name, error, store) else { return }
    found.withLock { _ = $0[store.id, default: Found(first: name, objects: [])].objects.insert(name) }
  }

  /// A store that is away is told of by whoever looks after stores, and WAL may be on its way there.
  private static func isTold(_ name: ObjectName, _ error: any Error, _ store: RepositoryStore) -> Bool {
    switch error {
    case is RepositoryError, StorageError.truncated: true
    // One that lags, or lets copies go by a `keep` of its own, lacks what others have.
    case StorageError.missing: store.durability == .required && store.keep == nil && name.isOfBackup
    default: false
    }
  }

  /// A sentence for each store.
  public var warnings: [String] { found.withLock { Self.sentences($0) } }

  /// The same, and forgets it.
  public func take() -> [String] {
    found.withLock { found in
      defer { found = [:] }
      return Self.sentences(found)
    }
  }

  private static func sentences(_ found: [StoreID: Found]) -> [String] {
    found.sorted { $0.key < $1.key }.map { store, found in
      let count = found.objects.count
      let what = count == 1 ? "1 object, which was" : "\(count) objects, which were"
      let names = found.first.text + (count == 1 ? "" : " and more")
      let command = "backupctl verify --store \(store) --full"
      return "store \"\(store)\" lacked or had damaged \(what) read from elsewhere: \(names); run \"\(command)\""
    }
  }
}

extension ObjectName {
  /// Whether it is a manifest, or something that manifests refer to: there before they are.
  var isOfBackup: Bool { isOfContent || (isIn("backups") && isDirectlyInFolder) }
  /// Whether it is something that manifests refer to.
  var isOfContent: Bool { (isIn("packs") || isIn("metadata")) && isDirectlyInFolder }
  /// Whether it is a segment, a slice of one, or a history.
  var isOfWAL: Bool { isIn("wal") }

  private var parts: [Substring] { text.split(separator: "/") }
  private func isIn(_ folder: Substring) -> Bool { parts.count > 4 && parts[3] == folder }
  private var isDirectlyInFolder: Bool { parts.count == 5 }
}

extension Repository {
  /// The same, whose reads are noted in a log.
  public func noting(in log: ReadLog) -> Repository {
    Repository(id: id, keys: keys, stores: allStores, log: log, hidden: hidden)
  }

  /// The same, which reads what was spoilt from older versions of it, where buckets keep them: for whoever reads backups and
  /// WAL back. Otherwise stores are seen as they are: what is made new must not lean on what only lies hidden.
  public func seekingHidden() -> Repository {
    Repository(id: id, keys: keys, stores: allStores, log: log, hidden: hidden ?? HiddenVersions())
  }
}
