internal import BackupModel
internal import BlockingWork
internal import Storage

/// One prune of one lineage in one store.
final class StorePrune {
  let run: PruneRun
  let store: RepositoryStore
  var report: PruneReport
  /// On backups that are not deleted.
  private(set) var verdicts: [BackupID: RetentionRules.Verdict] = [:]
  /// Backups whose manifests this store has still.
  private(set) var remaining: [ManifestHeader]
  private var restorable: BackupID?

  var repository: Repository { run.repository }
  var lineage: Lineage { run.lineage }

  /// - Throws: ``RetentionError/manifestUnreadable(_:_:cause:)``: what it needs is not known, so nothing may go.
  init(_ run: PruneRun, _ store: RepositoryStore) throws {
    self.run = run
    self.store = store
    report = PruneReport(run.lineage, store.id)
    remaining = try StoreReferences(run.repository, run.lineage, in: store, cancellation: run.cancellation).headers
    let live = remaining.filter { run.deletions.tombstone(of: $0.id) == nil }
    restorable = try Restorability(run.repository, run.lineage, in: store, wal: run.wal).newest(of: live)
    verdicts = run.pruner.options.rules.verdicts(
      on: live.map { $0.backup(stores: [store.id], missingStores: []) }, claims: run.claims.jobs,
      restorable: restorable,
      now: run.now)
  }

  /// - Parameter stuck: What should go, and of which nothing more can be said.
  func reportVerdicts(deleting: Set<BackupID>, stuck: Set<BackupID>) {
    for header in remaining {
      guard let verdict = verdicts[header.id] else { continue }
      let goes = deleting.contains(header.id)
      if stuck.contains(header.id) {
        let error = RetentionError.lastWordTaken(lineage.tombstone(header.id, NameNumber.highest).text)
        report.add(.wait, "backup", header.id.text, bytes: header.storedBytes.value, error.summary)
        continue
      }
      report.add(
        goes ? .tombstone : .keep, "backup", header.id.text, bytes: header.storedBytes.value,
        verdict.keeps || goes ? verdict.reason : "another store keeps it")
    }
  }

  // MARK: Manifests

  func removeManifests() throws {
    for header in remaining {
      guard let deleted = run.deletions.deleted(header.id), let tombstone = run.deletions.tombstone(of: header.id)
      else { continue }
      func wait(_ reason: String) {
        report.add(.wait, "backup", header.id.text, bytes: header.storedBytes.value, reason)
      }
      let end = deleted + Pruner.grace
      guard end <= run.now else {
        wait("deleted at \(tombstone.at) (\(tombstone.reason)); it can be undeleted until \(end)")
        continue
      }
      if let lease = run.leases.first(where: { $0.taken <= deleted + Pruner.clockTolerance }) {
        wait("a \(lease.purpose?.rawValue ?? "reader") that began at \(lease.taken) may use it")
        continue
      }
      guard restorable != nil else {
        wait("no other backup of this store can be restored")
        continue
      }
      try run.check()
      // Somebody may have brought it back since this prune began.
      guard try Deletions(repository, lineage, of: header.id).deleted(header.id) == deleted else {
        wait("it was undeleted while this prune ran")
        continue
      }
      try removeManifest(header, "deleted at \(tombstone.at): \(tombstone.reason)")
    }
  }

  /// Removes what this store lets go by its own `keep` and a store without one has: no backup is deleted by that.
  func dropCopies(heldBy stores: [StorePrune]) throws {
    guard let keep = store.keep else { return }
    let live = remaining.filter { run.deletions.tombstone(of: $0.id) == nil }
    let backups = live.map { $0.backup(stores: [store.id], missingStores: []) }
    let kept = Set(StoreRules(keep, run.pruner.options.rules).kept(of: backups, now: run.now).map(\.id))
    for header in live where !kept.contains(header.id) && header.id != restorable {
      func wait(_ reason: String) {
        report.add(.wait, "backup", header.id.text, bytes: header.storedBytes.value, reason)
      }
      let isElsewhere = stores.contains { other in
        other !== self && other.store.keep == nil && other.remaining.contains { $0.id == header.id }
      }
      guard isElsewhere else {
        wait("this store keeps \(keep.text), and no other store has it yet")
        continue
      }
      if let lease = run.leases.first {
        wait("a \(lease.purpose?.rawValue ?? "reader") that began at \(lease.taken) may use it")
        continue
      }
      try run.check()
      try removeManifest(header, "this store keeps \(keep.text); other stores have it")
    }
  }

  private func removeManifest(_ header: ManifestHeader, _ reason: String) throws {
    let name = lineage.manifest(header.id)
    let object = Listing.Object(name: name, size: header.storedBytes.value)
    guard try !unlocked([object], "backup", header.id.text).isEmpty else { return }
    if try remove([name], "backup", header.id.text, bytes: 0, reason) {
      remaining.removeAll { $0.id == header.id }
    }
  }

  // MARK: Packs

  func removePacks() throws {
    let cutoff = run.now - Pruner.youth
    // Listed before references are collected: a pack stored later is not even considered.
    var packs = try store.objects.list(below: lineage.packsPrefix).objects
    var metadata = try store.objects.list(below: lineage.metadataPrefix).objects
    var referred = try references().packs
    if run.isDry { referred.subtract(try onlyOfRemoved(keeping: referred)) }
    func isUnused(_ object: Listing.Object) -> Bool {
      (try? PackID(object.name.lastComponent)).map { !referred.contains($0) } ?? false
    }
    packs = try dated(packs, where: isUnused)
    metadata = try dated(metadata, where: isUnused)
    // A run that goes on may have taken over what only a checkpoint referred to, and has stored what nothing names yet.
    let isBusy = try run.isBackupGoingOn()
    for (kind, objects) in [("packs", packs), ("metadata", metadata)] {
      var paid = PaidStorage(run.now)
      var inUse = 0
      var used: Int64 = 0
      var young = 0
      var garbage: [Listing.Object] = []
      for object in objects {
        guard let id = try? PackID(object.name.lastComponent) else { continue }
        if referred.contains(id) {
          inUse += 1
          used += object.size
        } else if let written = object.modified, written < cutoff, !isBusy {
          if paid.holds(object) { continue }
          garbage.append(object)
        } else {
          young += 1
        }
      }
      report.add(.keep, kind, count: inUse, bytes: used, "backups or checkpoints use them")
      report.add(.wait, kind, count: young, "nothing refers to them; they are younger than 48 hours or a run goes on")
      paid.report(kind, in: &report)
      let free = try unlocked(garbage, kind, nil)
      try remove(free.map(\.name), kind, nil, bytes: free.reduce(0) { $0 + $1.size }, "nothing refers to them")
    }
  }

  /// A manifest that was put since this prune began counts, too.
  private func references() throws -> StoreReferences {
    try StoreReferences(repository, lineage, in: store, cancellation: run.cancellation)
  }

  /// For a dry run, whose manifests are all there still: what would be referred to no more.
  private func onlyOfRemoved(keeping all: Set<PackID>) throws -> Set<PackID> {
    let stays = Set(remaining.map(\.id))
    var kept: Set<PackID> = []
    for header in try references().headers where stays.contains(header.id) {
      kept.formUnion(try BackupReader(repository, lineage, header.id).livePacks().map(\.pack))
      kept.formUnion(header.parts)
    }
    for object in try store.objects.list(below: lineage.checkpointsPrefix).objects {
      guard let checkpoint = RunCheckpoint(component: object.name.lastComponent) else { continue }
      kept.formUnion(try BackupReader(repository, lineage, checkpoint: checkpoint).livePacks().map(\.pack))
    }
    return all.subtracting(kept)
  }

  // MARK: What runs and verifications left

  func removeCheckpoints() throws {
    // A dump does not go on from where an interrupted run was.
    let newest = remaining.last { $0.kind == .physical }?.id
    var old: [ObjectName] = []
    var bytes: Int64 = 0
    var kept = 0
    func isOvertaken(_ object: Listing.Object) -> Bool {
      guard let newest, let checkpoint = RunCheckpoint(component: object.name.lastComponent) else { return false }
      return checkpoint.backup <= newest
    }
    let checkpoints = try dated(try store.objects.list(below: lineage.checkpointsPrefix).objects) { !isOvertaken($0) }
    let isBusy = try run.isBackupGoingOn()
    for object in checkpoints where RunCheckpoint(component: object.name.lastComponent) != nil {
      let isForgotten = object.modified.map { $0 < run.now - Pruner.checkpointLife } ?? false
      if !isBusy, isOvertaken(object) || isForgotten {
        old.append(object.name)
        bytes += object.size
      } else {
        kept += 1
      }
    }
    report.add(.keep, "checkpoints", count: kept, "the next backup goes on from them")
    try remove(old, "checkpoints", nil, bytes: bytes, "no backup will go on from them")
  }

  func removeDamageMarks() throws {
    var present: Set<PackID> = []
    for prefix in [lineage.packsPrefix, lineage.metadataPrefix] {
      for object in try store.objects.list(below: prefix).objects {
        if let id = try? PackID(object.name.lastComponent) { present.insert(id) }
      }
    }
    let marks = try store.objects.list(below: lineage.damagePrefix).objects.map(\.name).filter {
      guard let id = try? PackID($0.lastComponent) else { return false }
      return !present.contains(id)
    }
    try remove(marks, "damage", nil, bytes: 0, "what they mark is gone")
  }
}
