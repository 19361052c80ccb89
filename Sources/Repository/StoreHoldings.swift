internal import BackupModel
internal import Storage

/// What the stores hold of a lineage's packs, from their own listings at a run's start, less what they mark as damaged.
struct StoreHoldings: Sendable {
  private var packs: [[PackID: Int64]] = []
  private var metadata: [[PackID: Int64]] = []

  /// - Throws: `StorageError` where a store does not answer.
  init(_ repository: Repository, _ lineage: Lineage) throws {
    for store in repository.required {
      let damaged = try DamageMark.list(store, lineage)
      packs.append(try Self.list(store, below: lineage.packsPrefix).filter { !damaged.contains($0.key) })
      metadata.append(try Self.list(store, below: lineage.metadataPrefix).filter { !damaged.contains($0.key) })
    }
  }

  private static func list(_ store: RepositoryStore, below prefix: String) throws -> [PackID: Int64] {
    var sizes: [PackID: Int64] = [:]
    for object in try store.objects.list(below: prefix).objects {
      if let id = try? PackID(object.name.lastComponent) { sizes[id] = object.size }
    }
    return sizes
  }

  /// Whether every store has the pack, with this size.
  func holds(pack: PackID, size: UInt32) -> Bool { packs.allSatisfy { $0[pack] == Int64(size) } }
  func holds(metadata pack: PackID, size: UInt32) -> Bool { metadata.allSatisfy { $0[pack] == Int64(size) } }
}
