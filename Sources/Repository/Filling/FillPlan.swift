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
    /// In the store, of another size than manifests say or marked as damaged.
    var isInDoubt = false
    /// What marks it as damaged in the store.
    var mark: ObjectName?
  }

  /// What lies directly below a prefix, in the others and in the store.
  struct Comparison {
    var elsewhere: [ObjectName: Object] = [:]
    /// With sizes.
    var here: [ObjectName: Int64] = [:]
    /// In the others.
    var prefixes: Set<String> = []

    /// In order.
    var missing: [Object] {
      elsewhere.values.filter { here[$0.name] == nil }.sorted { $0.name < $1.name }
    }
  }

  /// Which packs that are marked as damaged in the store are to be replaced.
  private enum Repair { case all, needed }

  /// Words on backups and lineages; before everything else, since a deleted backup must not come back as another.
  private(set) var documents: [Object] = []
  /// What manifests refer to, and WAL.
  private(set) var contents: [Object] = []
  /// Each after what it refers to.
  private(set) var manifests: [Object] = []

  var all: [Object] { documents + contents + manifests }

  /// Why a backup is left out: no store has all of it.
  private(set) var failure: (any Error)?
  /// Something is left to who is about to put it there.
  private(set) var isYoung = false
  let lineage: Lineage
  private let sources: Repository
  private let target: RepositoryStore
  private let memory: FillMemory

  /// - Parameters:
  ///   - sources: The repository without the store.
  ///   - youngest: What another store got after this is left for who is about to put it there.
  /// - Throws: `StorageError` where the store or all others do not answer.
  init(
    _ lineage: Lineage, from sources: Repository, to target: RepositoryStore, rules: RetentionRules?,
    memory: FillMemory, youngest: Timestamp, now: Timestamp
  ) throws {
    self.lineage = lineage
    self.sources = sources
    self.target = target
    self.memory = memory
    let tombstones = try compare(below: lineage.tombstonesPrefix, kind: nil)
    documents = tombstones.missing
    for prefix in [lineage.acceptancesPrefix, lineage.claimsPrefix, lineage.gapsPrefix] {
      documents += try compare(below: prefix, kind: nil).missing
    }
    let wanted = try wantedBackups(Set(tombstones.elsewhere.keys), rules, now)
    try addBackups(wanted.map(\.backup), youngest, repairing: .all)
    let physical = wanted.filter { $0.backup.kind == .physical }
    if let oldest = physical.map(\.backup.startLSN).min(), let newest = physical.last {
      try addWAL(from: oldest, try WALSegmentSize(bytes: newest.walSegmentBytes), youngest)
    }
  }

  /// What one backup needs to be restored from the store alone: of WAL whole segments from its start to its stop.
  /// - Throws: `StorageError` where the store does not answer or no other has all of the backup.
  init(copying backup: Backup, of lineage: Lineage, from sources: Repository, to target: RepositoryStore) throws {
    self.lineage = lineage
    self.sources = sources
    self.target = target
    memory = FillMemory()
    documents = try compare(below: lineage.acceptancesPrefix, kind: nil).missing
    let header = try BackupCatalog(sources).readHeader(of: backup.id, lineage)
    try addOwnWAL(of: header)
    // After nothing that is being written: the backup is done.
    try addBackups([backup], Timestamp.now() + .seconds(86400), repairing: .needed)
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

  /// Backups that are to be in the store: not deleted, and within its own `keep`. By sequence number.
  private func wantedBackups(
    _ tombstones: Set<ObjectName>, _ rules: RetentionRules?, _ now: Timestamp
  ) throws -> [FillMemory.Manifest] {
    let listed = try sources.listings(below: lineage.backupsPrefix).flatMap(\.listing.objects)
    let ids = Set(listed.compactMap { try? BackupID($0.name.lastComponent) })
    let deletions = try memory.deletions(of: lineage, tombstones) { try Deletions(sources, lineage) }
    let catalog = BackupCatalog(sources)
    // One that cannot be read is told of by whoever lists backups.
    let found = memory.manifests(of: lineage, ids) { try? catalog.readHeader(of: $0, lineage) }
      .filter { deletions.tombstone(of: $0.backup.id) == nil }
      .sorted { ($0.backup.sequence, $0.backup.id) < ($1.backup.sequence, $1.backup.id) }
    guard let keep = target.keep else { return found }
    let kept = Set(StoreRules(keep, rules).kept(of: found.map(\.backup), now: now).map(\.id))
    return found.filter { kept.contains($0.backup.id) }
  }

  /// A backup whole or not at all: its manifest says that everything it refers to is there.
  private mutating func addBackups(_ wanted: [Backup], _ youngest: Timestamp, repairing: Repair) throws {
    let listed = Set(try target.objects.list(below: lineage.backupsPrefix).objects.map(\.name))
    let marked = memory.doubtful(try DamageMark.list(sources, target, lineage), in: target.id)
    let lacking = wanted.filter { !listed.contains(lineage.manifest($0.id)) }
    if lacking.isEmpty, marked.isEmpty { return }
    let packs = FillPacks(
      lineage, packs: try compare(below: lineage.packsPrefix, kind: .pack),
      metadata: try compare(below: lineage.metadataPrefix, kind: .metadata), marked: marked)
    var needed = repairing == .all ? packs.repairable : []
    for backup in repairing == .all ? lacking : wanted {
      guard backup.finished <= youngest else {
        isYoung = true
        continue
      }
      do {
        try add(backup, packs, youngest, isListed: listed.contains(lineage.manifest(backup.id)), &needed)
      } catch let error where error is StorageError || error is RepositoryError {
        // What is wrong with one backup holds up no other.
        failure = failure ?? error
      }
    }
    contents += needed.sorted().compactMap { packs.object($0) }
  }

  private mutating func add(
    _ backup: Backup, _ packs: FillPacks, _ youngest: Timestamp, isListed: Bool, _ needed: inout Set<ObjectName>
  ) throws {
    let manifest = lineage.manifest(backup.id)
    let references = try memory.references(of: manifest) { try readReferences(of: backup.id) }
    let names = Set(references.filter { !packs.holds($0.key, size: $0.value) }.keys)
    if let nowhere = names.first(where: { packs.object($0) == nil }) {
      throw StorageError.missing(nowhere, in: sources.stores[0].objects.location)
    }
    if names.contains(where: { (packs.object($0)?.written ?? youngest) > youngest }) {
      isYoung = true
      return
    }
    needed.formUnion(names)
    if isListed { return }
    manifests.append(
      Object(
        name: manifest, size: 0, written: backup.finished, kind: .manifest, needs: names,
        held: Set(references.keys).subtracting(names)))
  }

  private func readReferences(of backup: BackupID) throws -> [ObjectName: Int64] {
    let reader = try BackupReader(sources, lineage, backup)
    var sizes: [ObjectName: Int64] = [:]
    for part in reader.header.parts { sizes[lineage.metadataPack(part)] = 0 }
    for pack in try reader.livePacks() {
      for name in lineage.names(of: [pack], parts: []) { sizes[name] = Int64(pack.size) }
    }
    return sizes
  }

  private mutating func addWAL(from oldest: LSN, _ size: WALSegmentSize, _ youngest: Timestamp) throws {
    var missing: [Object] = []
    let top = try compare(below: lineage.walPrefix, kind: .timelineHistory)
    missing += top.missing
    for timeline in top.prefixes.sorted() {
      let folder = lineage.walPrefix + "/" + timeline
      let segments = try compare(below: folder, kind: .walSegment)
      func isNeeded(_ name: some StringProtocol) -> Bool {
        (try? WALSegment(name: String(name), size: size)).map { $0.end(size: size) > oldest } ?? false
      }
      missing += segments.missing.filter { isNeeded($0.name.lastComponent) }
      for prefix in segments.prefixes.sorted() where prefix.hasSuffix(".partial") && isNeeded(prefix.dropLast(8)) {
        // Slices only where there is no more of the segment.
        let whole = ObjectName(composed: "\(folder)/\(prefix.dropLast(8))")
        if segments.elsewhere[whole] != nil || segments.here[whole] != nil { continue }
        let slices = try compare(below: folder + "/" + prefix, kind: .walSlice).missing
        missing += slices.filter { WALSlice(component: $0.name.lastComponent) != nil }
      }
    }
    let old = missing.filter { ($0.written ?? youngest) <= youngest }
    if old.count < missing.count { isYoung = true }
    contents += old
  }

  /// What the others list directly below a prefix, and what the store does.
  private func compare(below prefix: String, kind: ObjectKind?) throws -> Comparison {
    var found = Comparison()
    for (_, listing) in try sources.listings(below: prefix) {
      found.prefixes.formUnion(listing.prefixes)
      for object in listing.objects where found.elsewhere[object.name] == nil {
        found.elsewhere[object.name] = Object(
          name: object.name, size: object.size, written: object.modified, kind: kind)
      }
    }
    for object in try target.objects.list(below: prefix).objects { found.here[object.name] = object.size }
    return found
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
