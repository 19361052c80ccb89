public import BackupModel
public import BlockingWork
internal import Storage
import Synchronization

/// `damage/<pack-id>`: a verification could not use this pack in this store. Backups take nothing over from it.
struct DamageMark: Codable, Sendable {
  var format = 1
  var object: String
  var reason: String
  var found: Timestamp

  /// Marks that are read at once.
  private static let lanes = 8

  /// Packs and metadata packs that a store marks.
  ///
  /// A mark that does not open says nothing: by names alone whoever can write to the store could mark every pack, and the
  /// next backup would store everything anew.
  static func list(_ repository: Repository, _ store: RepositoryStore, _ lineage: Lineage) throws -> Set<PackID> {
    let objects = try store.objects.list(below: lineage.damagePrefix).objects
    if objects.isEmpty { return [] }
    let found = Mutex<Set<PackID>>([])
    try forEachTogether(objects, lanes: lanes, Cancellation(), label: "marks.\(store.id)") { object, _ in
      guard let pack = try? PackID(object.name.lastComponent), try Self.opens(object, repository, store) else { return }
      found.withLock { _ = $0.insert(pack) }
    }
    return found.withLock { $0 }
  }

  /// Whether marks open, by store, name and time: of many that somebody put there each is read once.
  private static let known = Mutex<[String: Bool]>([:])
  /// About 40 MB of names.
  private static let knownLimit = 200_000

  private static func opens(
    _ object: Listing.Object, _ repository: Repository, _ store: RepositoryStore
  ) throws -> Bool {
    let key = "\(store.objects.location) \(object.name) \(object.modified?.description ?? "")"
    if let before = known.withLock({ $0[key] }) { return before }
    let answer = try opens(object.name, repository, store)
    known.withLock { known in
      if known.count >= knownLimit { known.removeAll() }
      known[key] = answer
    }
    return answer
  }

  /// - Throws: `StorageError` where the store does not answer.
  static func opens(_ name: ObjectName, _ repository: Repository, _ store: RepositoryStore) throws -> Bool {
    do {
      _ = try repository.readDocument(DamageMark.self, name, in: store)
      return true
    } catch is RepositoryError {
      return false
    } catch let error as StorageError where !error.retryMayHelp {
      // Gone meanwhile, or put there so that nobody can read it.
      return false
    }
  }
}

extension Repository {
  /// How many packs of a cluster each store marks as damaged; only stores that mark some. Archives are not asked.
  /// - Throws: `StorageError` where a store does not answer.
  public func damagedPacks(of cluster: ClusterID) throws -> [StoreID: Int] {
    var counts: [StoreID: Int] = [:]
    for lineage in try lineages(of: cluster) {
      for store in stores {
        let count = try DamageMark.list(self, store, lineage).count
        if count > 0 { counts[store.id, default: 0] += count }
      }
    }
    return counts
  }

  /// Whether a store holds the root document, archives among them. Asked once, without trying again.
  /// - Throws: `StorageError`.
  public func holdsRoot(_ store: RepositoryStore) throws -> Bool {
    try store.objects.once.size(of: Self.rootName) != nil
  }
}

extension Verifier {
  /// Marks the damaged packs of a report in the stores that hold them, so that the next backup stores their pages anew.
  ///
  /// A pack that is missing or cut off needs no mark: a run sees that in the store's listing.
  /// - Throws: `StorageError` where a store cannot be written; ``RepositoryError/damaged(_:in:reason:)`` where something
  ///   else has the name of a mark, once all others are there.
  public func mark(_ report: VerifyReport, cancellation: Cancellation) throws {
    var taken: RepositoryError?
    for damage in report.damage {
      guard let store = repository.stores.first(where: { $0.id == damage.store }),
        let lineage = try lineage(of: damage.object, report.cluster),
        let pack = try? PackID(String(damage.object.split(separator: "/").last ?? ""))
      else { continue }
      let name = lineage.damageMark(pack)
      // The first finding stays: nothing is ever overwritten.
      if try store.objects.size(of: name) != nil {
        if try !DamageMark.opens(name, repository, store) {
          taken = .damaged(name, in: store.id, reason: "It is no mark of damage, and a mark cannot take its place.")
        }
        continue
      }
      let mark = DamageMark(object: damage.object, reason: String(damage.reason.prefix(2000)), found: .now())
      try repository.putDocument(mark, name, in: store, cancellation: cancellation)
    }
    if let taken { throw taken }
  }

  /// The lineage of a pack or metadata pack; nil for any other object.
  private func lineage(of object: String, _ cluster: ClusterID) throws -> Lineage? {
    try repository.lineages(of: cluster).first {
      object.hasPrefix($0.packsPrefix + "/") || object.hasPrefix($0.metadataPrefix + "/")
    }
  }
}
