internal import BackupModel
internal import Objectives
internal import Repository
internal import WALArchiving

/// What the stores hold of one cluster, as they listed it at some time.
struct ClusterHoldings: Sendable {
  /// Listings of a bucket cost time and money: read again when something was made, and otherwise so often.
  static let freshness: Duration = .seconds(600)
  /// Where no receiver tells how far a store is.
  static let freshnessWithoutWAL: Duration = .seconds(60)

  private let readAt: Duration
  private let lastSuccess: Timestamp?
  private let keepsWAL: Bool
  private var stores: [ClusterFacts.Store] = []
  /// At the end of what each store leads to.
  private var timelines: [StoreID: TimelineID] = [:]
  /// Of stores that did not answer what they held before still counts.
  private var unanswered: Set<StoreID> = []
  private var newest: Backup?
  private var dumps: [ClusterFacts.Logical] = []

  /// - Throws: What the stores throw where none can be listed.
  init(_ repository: Repository, _ cluster: ClusterID, at uptime: Duration, lastSuccess: Timestamp?, keepsWAL: Bool)
    throws
  {
    readAt = uptime
    self.lastSuccess = lastSuccess
    self.keepsWAL = keepsWAL
    let catalog = BackupCatalog(repository)
    for lineage in try repository.lineages(of: cluster) {
      let (backups, _) = try catalog.list(lineage)
      let wal = try WALCatalog(repository, lineage)
      let kept = backups.filter { $0.deleted == nil && $0.kind == .physical }
      newest = kept.last ?? newest
      dumps += try Self.dumps(backups.filter { $0.deleted == nil && $0.kind == .logical }, lineage, catalog)
      unanswered.formUnion(Set(wal.failures.keys).union(repository.unheard.keys))
      for store in repository.stores where store.durability != .onCopy && !unanswered.contains(store.id) {
        guard let span = try catalog.recoverableSpans(backups, wal, in: store.id).last else { continue }
        let backup = kept.last { $0.stores.contains(store.id) }
        // The newer lineage counts where it restores.
        stores.removeAll { $0.store == store.id }
        timelines[store.id] = span.timeline
        stores.append(
          ClusterFacts.Store(
            store: store.id, backup: backup?.id, to: span.to, toLSN: span.toLSN,
            hasWAL: keepsWAL || backup.map { span.toLSN > $0.stopLSN } ?? false))
      }
    }
  }

  /// Of each job the newest dump in each store.
  private static func dumps(
    _ backups: [Backup], _ lineage: Lineage, _ catalog: BackupCatalog
  ) throws -> [ClusterFacts.Logical] {
    var wanted: Set<BackupID> = []
    for made in Dictionary(grouping: backups, by: \.job).values {
      for store in Set(made.flatMap(\.stores)) {
        if let newest = made.last(where: { $0.stores.contains(store) }) { wanted.insert(newest.id) }
      }
    }
    return try backups.filter { wanted.contains($0.id) }.compactMap { backup in
      guard let dump = try catalog.readHeader(of: backup.id, lineage).dump,
        let tables = DumpedTables(selection: dump.selection)
      else { return nil }
      return ClusterFacts.Logical(
        backup: backup.id, at: dump.snapshot, stores: backup.stores, tables: tables.names)
    }
  }

  /// With what was known before of stores that do not answer now.
  func keeping(_ earlier: ClusterHoldings?) -> ClusterHoldings {
    guard let earlier, !unanswered.isEmpty else { return self }
    var merged = self
    merged.stores += earlier.stores.filter { old in
      unanswered.contains(old.store) && !stores.contains { $0.store == old.store }
    }
    merged.timelines.merge(earlier.timelines) { new, _ in new }
    merged.newest = newest ?? earlier.newest
    for dump in earlier.dumps where !dumps.contains(where: { $0.backup == dump.backup }) {
      if !unanswered.isDisjoint(with: dump.stores) { merged.dumps.append(dump) }
    }
    return merged
  }

  func isFresh(at uptime: Duration, _ reach: WALReach?, lastSuccess: Timestamp?) -> Bool {
    guard lastSuccess == self.lastSuccess else { return false }
    // Without WAL nothing new comes but by a job that succeeds.
    let isHeard = reach.map { reach in stores.allSatisfy { isFollowed($0, reach) } && !stores.isEmpty } ?? !keepsWAL
    return uptime - readAt < (isHeard ? Self.freshness : Self.freshnessWithoutWAL)
  }

  /// Whether a receiver tells how far this store is, on from what its listing says.
  private func isFollowed(_ store: ClusterFacts.Store, _ reach: WALReach) -> Bool {
    reach.stores[store.store] != nil && store.toLSN >= reach.heldFrom.lsn
      && timelines[store.store] == reach.timeline
  }

  func facts(_ reach: WALReach?, now: Timestamp) -> ClusterFacts {
    var facts = ClusterFacts(now: now, heldFrom: reach?.heldFrom.lsn, stores: stores, bytes: newest?.totalBytes)
    for index in facts.stores.indices {
      facts.stores[index].live = reach?.stores[facts.stores[index].store].map(Self.live)
    }
    facts.logical = dumps
    facts.landing = reach?.landing.map(Self.live)
    let ends = stores.map(\.toLSN) + (reach?.stores.values.map(\.end) ?? [])
    if keepsWAL, let newest, let end = ends.max(), end >= newest.startLSN {
      facts.walBytes = ByteCount(end - newest.startLSN)
    }
    return facts
  }

  private static func live(_ place: WALReach.Place) -> ClusterFacts.LiveWAL {
    ClusterFacts.LiveWAL(end: place.end, clock: place.clock, lossSeconds: place.loss.secondsValue)
  }
}
