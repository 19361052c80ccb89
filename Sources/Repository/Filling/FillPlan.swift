internal import BackupModel
internal import BlockingWork
internal import Storage

/// What a store lacks of one lineage: of the backups that it is to hold, and of the WAL from the oldest of them on.
///
/// Computed from the stores' own listings, so it survives any crash and can be made anew at any time.
struct FillPlan {
  struct Object: Sendable {
    var name: ObjectName
    var size: Int64
    /// When another store got it.
    var written: Timestamp?
    /// Nil for small documents.
    var kind: ObjectKind?
    /// Of a manifest: what it refers to and this store lacks.
    var needs: Set<ObjectName> = []
    /// Of a manifest: what it refers to and this store has.
    var held: Set<ObjectName> = []
  }

  /// Words on backups and lineages; before everything else, since a deleted backup must not come back as another.
  private(set) var documents: [Object] = []
  /// What manifests refer to, and WAL.
  private(set) var contents: [Object] = []
  /// Each after what it refers to.
  private(set) var manifests: [Object] = []

  var all: [Object] { documents + contents + manifests }

  /// Why a backup is left out: no store has all of it.
  private(set) var failure: StorageError?
  let lineage: Lineage
  private let sources: Repository
  private let target: RepositoryStore

  /// - Parameters:
  ///   - sources: The repository without the store.
  ///   - youngest: What another store got after this is left for who is about to put it there.
  /// - Throws: `StorageError` where the store or all others do not answer.
  init(
    _ lineage: Lineage, from sources: Repository, to target: RepositoryStore, rules: RetentionRules?,
    youngest: Timestamp, now: Timestamp
  ) throws {
    self.lineage = lineage
    self.sources = sources
    self.target = target
    for prefix in [
      lineage.acceptancesPrefix, lineage.tombstonesPrefix, lineage.claimsPrefix, lineage.gapsPrefix,
    ] { documents += try compare(below: prefix, kind: nil).missing }
    let wanted = try wantedBackups(rules, now)
    try addBackups(wanted, youngest)
    if let oldest = wanted.filter({ $0.kind == .physical }).map(\.startLSN).min() {
      try addWAL(from: oldest, youngest)
    }
  }

  /// What one backup needs to be restored from the store alone: of WAL whole segments from its start to its stop.
  /// - Throws: `StorageError` where the store does not answer or no other has all of the backup.
  init(copying backup: Backup, of lineage: Lineage, from sources: Repository, to target: RepositoryStore) throws {
    self.lineage = lineage
    self.sources = sources
    self.target = target
    documents = try compare(below: lineage.acceptancesPrefix, kind: nil).missing
    let header = try BackupCatalog(sources).readHeader(of: backup.id, lineage)
    try addOwnWAL(of: header)
    // After nothing that is being written: the backup is done.
    try addBackups([backup], Timestamp.now() + .seconds(86400))
    // Without its WAL it could not be made consistent.
    let wal = Set(contents.filter { $0.kind == .walSegment || $0.kind == .timelineHistory }.map(\.name))
    for index in manifests.indices { manifests[index].needs.formUnion(wal) }
    if let failure { throw failure }
  }

  private mutating func addOwnWAL(of header: ManifestHeader) throws {
    let size = try WALSegmentSize(bytes: header.walSegmentBytes)
    let segments = WALSegment.all(from: header.startLSN, to: header.stopLSN, on: header.timeline, size: size)
    let names = Set(segments.map { lineage.walSegment($0, size: size) })
    let folder = lineage.walPrefix + "/" + header.timeline.fileText
    contents += try compare(below: folder, kind: .walSegment).missing.filter { names.contains($0.name) }
    contents += try compare(below: lineage.walPrefix, kind: .timelineHistory).missing.filter {
      guard let number = UInt32($0.name.lastComponent.prefix(8), radix: 16) else { return false }
      return $0.name.lastComponent.hasSuffix(".history") && number <= header.timeline.value
    }
  }

  /// Backups that are to be in the store: not deleted, and within its own `keep`.
  private func wantedBackups(_ rules: RetentionRules?, _ now: Timestamp) throws -> [Backup] {
    let backups = try BackupCatalog(sources).list(lineage).backups.filter { $0.deleted == nil }
    guard let keep = target.keep else { return backups }
    return StoreRules(keep, rules).kept(of: backups, now: now)
  }

  /// A backup whole or not at all: its manifest says that everything it refers to is there.
  private mutating func addBackups(_ wanted: [Backup], _ youngest: Timestamp) throws {
    let listed = Set(try target.objects.list(below: lineage.backupsPrefix).objects.map(\.name))
    let lacking = wanted.filter { !listed.contains(lineage.manifest($0.id)) }
    if lacking.isEmpty { return }
    let packs = try compare(below: lineage.packsPrefix, kind: .pack)
    let metadata = try compare(below: lineage.metadataPrefix, kind: .metadata)
    let held = packs.held.union(metadata.held)
    let missing = Dictionary(
      (packs.missing + metadata.missing).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var needed: Set<ObjectName> = []
    for backup in lacking where backup.finished <= youngest {
      let references = try references(of: backup.id)
      let names = references.subtracting(held)
      if let nowhere = names.first(where: { missing[$0] == nil }) {
        failure = failure ?? .missing(nowhere, in: sources.stores[0].objects.location)
        continue
      }
      if names.contains(where: { (missing[$0]?.written ?? youngest) > youngest }) { continue }
      needed.formUnion(names)
      manifests.append(
        Object(
          name: lineage.manifest(backup.id), size: 0, written: backup.finished, kind: .manifest, needs: names,
          held: references.intersection(held)))
    }
    contents += needed.sorted().compactMap { missing[$0] }
  }

  private func references(of backup: BackupID) throws -> Set<ObjectName> {
    let reader = try BackupReader(sources, lineage, backup)
    return Set(lineage.names(of: try reader.livePacks(), parts: reader.header.parts))
  }

  private mutating func addWAL(from oldest: LSN, _ youngest: Timestamp) throws {
    let before = contents.count
    let catalog = try WALCatalog(sources, lineage)
    let size = catalog.segmentSize
    contents += try compare(below: lineage.walPrefix, kind: .timelineHistory).missing
    for timeline in catalog.timelines {
      let folder = lineage.walPrefix + "/" + timeline.fileText
      let (missing, held) = try compare(below: folder, kind: .walSegment)
      for object in missing {
        guard let segment = try? WALSegment(name: object.name.lastComponent, size: size) else { continue }
        if segment.end(size: size) > oldest { contents.append(object) }
      }
      // Slices only where there is no more of the segment.
      for piece in catalog.pieces[timeline] ?? [] where piece.full.isEmpty && !piece.slices.isEmpty {
        let name = lineage.walSegment(piece.segment, size: size)
        guard piece.segment.end(size: size) > oldest, !held.contains(name) else { continue }
        let slices = try compare(
          below: lineage.walSlicesPrefix(piece.segment, size: size), kind: .walSlice
        ).missing
        contents += slices.filter { WALSlice(component: $0.name.lastComponent) != nil }
      }
    }
    contents[before...] = ArraySlice(contents[before...].filter { ($0.written ?? youngest) <= youngest })
  }

  /// What some other store lists directly below a prefix and this one does not, in order; and what this one does.
  private func compare(
    below prefix: String, kind: ObjectKind?
  ) throws -> (missing: [Object], held: Set<ObjectName>) {
    var found: [ObjectName: Object] = [:]
    for (_, listing) in try sources.listings(below: prefix) {
      for object in listing.objects where found[object.name] == nil {
        found[object.name] = Object(name: object.name, size: object.size, written: object.modified, kind: kind)
      }
    }
    let held = Set(try target.objects.list(below: prefix).objects.map(\.name))
    return (found.values.filter { !held.contains($0.name) }.sorted { $0.name < $1.name }, held)
  }
}

/// A store's own `keep`, in the place of what each job promises.
struct StoreRules {
  private let rules: RetentionRules
  private let jobs: RetentionRules?

  init(_ keep: RetentionPolicy, _ rules: RetentionRules?) {
    jobs = rules
    self.rules = RetentionRules(
      policies: Dictionary(uniqueKeysWithValues: (rules?.policies.keys.map { $0 } ?? []).map { ($0, keep) }),
      recoveryWindow: nil)
  }

  /// Those that stay in the store, which is never left without the newest.
  func kept(of backups: [Backup], now: Timestamp) -> [Backup] {
    let newest = backups.last { $0.kind == .physical } ?? backups.last
    let verdicts = rules.verdicts(on: backups, restorable: newest?.id, now: now)
    return backups.filter { verdicts[$0.id]?.keeps ?? true }
  }
}
