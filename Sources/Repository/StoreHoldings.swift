internal import BackupModel
internal import Storage

/// What the stores hold of a lineage's packs, from their own listings at a run's start, less what they mark as damaged.
struct StoreHoldings: Sendable {
  private var packs: [[PackID: Int64]] = []
  private var metadata: [[PackID: Int64]] = []

  /// Stores that do not answer: nothing is known of what they hold, and nothing is asked of them.
  private(set) var failures: [StoreID: ErrorReport] = [:]

  /// - Throws: `StorageError` where no required store answers.
  init(_ repository: Repository, _ lineage: Lineage) throws {
    var last: (any Error)?
    for store in repository.required {
      do {
        let damaged = try DamageMark.list(repository, store, lineage)
        let held = try Self.list(store, below: lineage.packsPrefix).filter { !damaged.contains($0.key) }
        metadata.append(try Self.list(store, below: lineage.metadataPrefix).filter { !damaged.contains($0.key) })
        packs.append(held)
      } catch let error as StorageError {
        failures[store.id] = ErrorReport(error)
        last = error
      }
    }
    if packs.isEmpty, let last { throw last }
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
