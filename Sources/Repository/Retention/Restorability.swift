internal import BackupModel
internal import Storage

/// Which backups a store could restore by itself, as its listings say.
struct Restorability {
  private let repository: Repository
  private let lineage: Lineage
  private let store: RepositoryStore
  private var sizes: [PackID: Int64] = [:]
  private let wal: WALCatalog

  init(_ repository: Repository, _ lineage: Lineage, in store: RepositoryStore, wal: WALCatalog) throws {
    self.repository = repository
    self.lineage = lineage
    self.store = store
    self.wal = wal
    let damaged = try DamageMark.list(repository, store, lineage)
    for prefix in [lineage.packsPrefix, lineage.metadataPrefix] {
      for object in try store.objects.list(below: prefix).objects {
        if let id = try? PackID(object.name.lastComponent), !damaged.contains(id) { sizes[id] = object.size }
      }
    }
  }

  /// Why a backup could not be restored from this store; nil where it could.
  func obstacle(_ id: BackupID) throws -> String? {
    guard try store.objects.size(of: lineage.manifest(id)) != nil else { return "Its manifest is gone." }
    let reader: BackupReader
    do { reader = try BackupReader(repository, lineage, id) } catch { return ErrorReport(error).description }
    for pack in try reader.livePacks() where sizes[pack.pack] != Int64(pack.size) {
      let kind = pack.kind == .pack ? "Pack" : "Metadata pack"
      return "\(kind) \(pack.pack) is missing, cut off or marked as damaged in store \"\(store.id)\"."
    }
    for part in reader.header.parts where sizes[part] == nil {
      return "Part \(part) of its manifest is missing in store \"\(store.id)\"."
    }
    let header = reader.header
    guard header.kind == .physical else { return nil }
    let start = WALPosition(timeline: header.timeline, lsn: header.startLSN)
    let end = wal.coverage(from: start, in: store.id)
    if end < header.stopLSN {
      return "It needs WAL from \(header.startLSN) to \(header.stopLSN); store \"\(store.id)\" has it up to \(end)."
    }
    return nil
  }

  /// The newest of some backups that could be restored. A dump does not bring back a cluster: where there are physical
  /// backups only these count.
  /// - Parameter backups: By sequence number.
  func newest(of backups: [ManifestHeader]) throws -> BackupID? {
    let physical = backups.filter { $0.kind == .physical }
    return try (physical.isEmpty ? backups : physical).reversed().first { try obstacle($0.id) == nil }?.id
  }
}
