public import BackupModel
public import BlockingWork
internal import Storage

/// `damage/<pack-id>`: a verification could not use this pack in this store. Backups take nothing over from it.
struct DamageMark: Codable, Sendable {
  var format = 1
  var object: String
  var reason: String
  var found: Timestamp

  /// Packs and metadata packs that a store marks.
  static func list(_ store: RepositoryStore, _ lineage: Lineage) throws -> Set<PackID> {
    Set(
      try store.objects.list(below: lineage.damagePrefix).objects.compactMap { try? PackID($0.name.lastComponent) })
  }
}

extension Repository {
  /// How many packs of a cluster each store marks as damaged; only stores that mark some. Archives are not asked.
  /// - Throws: `StorageError` where a store does not answer.
  public func damagedPacks(of cluster: ClusterID) throws -> [StoreID: Int] {
    var counts: [StoreID: Int] = [:]
    for lineage in try lineages(of: cluster) {
      for store in stores {
        let count = try DamageMark.list(store, lineage).count
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
  /// - Throws: `StorageError` where a store cannot be written.
  public func mark(_ report: VerifyReport, cancellation: Cancellation) throws {
    for damage in report.damage {
      guard let store = repository.stores.first(where: { $0.id == damage.store }),
        let lineage = try lineage(of: damage.object, report.cluster),
        let pack = try? PackID(String(damage.object.split(separator: "/").last ?? ""))
      else { continue }
      let name = lineage.damageMark(pack)
      // The first finding stays: nothing is ever overwritten.
      if try store.objects.size(of: name) != nil { continue }
      let mark = DamageMark(object: damage.object, reason: String(damage.reason.prefix(2000)), found: .now())
      try repository.putDocument(mark, name, in: store, cancellation: cancellation)
    }
  }

  /// The lineage of a pack or metadata pack; nil for any other object.
  private func lineage(of object: String, _ cluster: ClusterID) throws -> Lineage? {
    try repository.lineages(of: cluster).first {
      object.hasPrefix($0.packsPrefix + "/") || object.hasPrefix($0.metadataPrefix + "/")
    }
  }
}
