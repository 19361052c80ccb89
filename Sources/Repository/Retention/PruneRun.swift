internal import BackupModel
internal import BlockingWork
internal import Storage

/// One prune of one lineage, in all stores.
///
/// Used by one thread.
final class PruneRun {
  let pruner: Pruner
  let lineage: Lineage
  let lease: Lease?
  let cancellation: Cancellation
  var deletions: Deletions
  /// Leases of others that counted when this began.
  let leases: [Lease.Live]
  private let expired: [(store: RepositoryStore, name: ObjectName)]
  let claims: Claims
  let wal: WALCatalog

  var repository: Repository { pruner.repository }
  var isDry: Bool { pruner.options.dryRun }
  var now: Timestamp { pruner.options.now() }

  init(_ pruner: Pruner, _ lineage: Lineage, lease: Lease?, _ cancellation: Cancellation) throws {
    self.pruner = pruner
    self.lineage = lineage
    self.lease = lease
    self.cancellation = cancellation
    deletions = try Deletions(pruner.repository, lineage)
    let (live, expired) = try Lease.list(pruner.repository, lineage, at: pruner.options.now())
    leases = live.filter { $0.holder != lease?.holder.description && $0.purpose != .prune }
    self.expired = expired
    claims = try Claims(pruner.repository, lineage)
    wal = try WALCatalog(pruner.repository, lineage, segmentSize: try Self.segmentSize(pruner.repository, lineage))
  }

  /// As the newest backup says. Where there is none no WAL goes, and the size means nothing.
  private static func segmentSize(_ repository: Repository, _ lineage: Lineage) throws -> WALSegmentSize {
    let catalog = BackupCatalog(repository)
    guard let newest = try catalog.list(lineage).backups.last else { return .standard }
    return try WALSegmentSize(bytes: try catalog.readHeader(of: newest.id, lineage).walSegmentBytes)
  }

  func perform() throws -> [PruneReport] {
    var stores: [StorePrune] = []
    var unheard: [PruneReport] = []
    // What cannot be read in one store stops all: a backup is judged by every store that has it. One that lags anyway
    // is pruned when it answers.
    for store in repository.stores {
      do {
        stores.append(try StorePrune(self, store))
      } catch let error as StorageError where store.durability == .eventual {
        var report = PruneReport(lineage, store.id)
        report.error = ErrorReport(error)
        unheard.append(report)
      }
    }
    try tombstone(stores)
    for store in stores {
      do {
        try store.removeManifests()
        try store.dropCopies(heldBy: stores)
        try store.removePacks()
        try store.removeCheckpoints()
        // A store with a keep of its own needs the WAL of its own backups alone.
        try store.removeWAL(need: walNeed(store.store.keep == nil ? stores : [store]))
        try store.removeDamageMarks()
        let leases = expired.filter { $0.store.id == store.store.id }.map(\.name)
        try store.remove(leases, "leases", nil, bytes: 0, "their holders are gone")
      } catch let error as CancellationError {
        throw error
      } catch {
        store.report.error = ErrorReport(error)
      }
    }
    if stores.allSatisfy({ $0.report.error == nil }) { try forgetTombstones(stores) }
    return stores.map(\.report) + unheard
  }

  /// Asked anew each time: a backup may have begun meanwhile.
  func isBackupGoingOn() throws -> Bool {
    try Lease.list(repository, lineage, at: now).live.contains { $0.purpose == .backup || $0.purpose == nil }
  }

  /// Before each removal: somebody may have stopped us, or we may have lost the right to it.
  func check() throws {
    try lease?.check()
    try cancellation.check()
  }

  /// Deletes what every store that has it would let go.
  private func tombstone(_ stores: [StorePrune]) throws {
    var goes: [BackupID: String] = [:]
    for store in stores {
      for (backup, verdict) in store.verdicts where !verdict.keeps { goes[backup] = verdict.reason }
    }
    for store in stores { for (backup, verdict) in store.verdicts where verdict.keeps { goes[backup] = nil } }
    // What somebody put there so that one cannot be deleted hinders no other.
    let stuck = Set(goes.keys.filter { deletions.next($0) == nil })
    for backup in stuck { goes[backup] = nil }
    for (backup, reason) in goes.sorted(by: { $0.key < $1.key }) where !isDry {
      guard let number = deletions.next(backup) else { continue }
      try check()
      let tombstone = Tombstone(
        backup: backup, number: number, action: .delete, reason: "retention: \(reason)", at: now)
      for store in stores {
        try repository.putDocument(
          tombstone, lineage.tombstone(backup, tombstone.number), in: store.store, cancellation: cancellation)
      }
    }
    for store in stores { store.reportVerdicts(deleting: Set(goes.keys), stuck: stuck) }
  }

  /// What WAL has to stay; nil where nobody can tell.
  private func walNeed(_ stores: [StorePrune]) -> WALNeed? {
    let backups = stores.flatMap(\.remaining).filter { $0.kind == .physical }
    guard let oldest = backups.map(\.startLSN).min() else { return nil }
    let spans = backups.map { WALNeed.Span(start: $0.startLSN, stop: $0.stopLSN) }
    guard let window = pruner.options.rules.recoveryWindow else { return WALNeed(from: oldest, spans: []) }
    // A restore that begins just before an instant leaves the window has until it is done.
    let begin = now - window - Pruner.grace
    let starts = stores.map { store in
      store.remaining.last { header in
        header.kind == .physical && header.finished <= begin && deletions.tombstone(of: header.id) == nil
      }?.startLSN
    }
    return WALNeed(from: starts.contains(nil) ? oldest : starts.compactMap(\.self).min() ?? oldest, spans: spans)
  }

  /// Words on backups that no store has any more.
  private func forgetTombstones(_ stores: [StorePrune]) throws {
    let present = Set(stores.flatMap(\.remaining).map(\.id))
    for store in stores {
      let names = try store.store.objects.list(below: lineage.tombstonesPrefix).objects.map(\.name).filter {
        guard let name = NumberedBackup(component: $0.lastComponent) else { return false }
        return !present.contains(name.backup)
      }
      try store.remove(names, "tombstones", nil, bytes: 0, "their backups are gone")
      let claims = try store.store.objects.list(below: lineage.claimsPrefix).objects.map(\.name).filter {
        guard let (backup, _) = Claims.parse($0.lastComponent) else { return false }
        return !present.contains(backup)
      }
      try store.remove(claims, "claims", nil, bytes: 0, "their backups are gone")
    }
  }
}
