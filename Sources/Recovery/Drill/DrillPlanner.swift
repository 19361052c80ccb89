internal import BackupModel
internal import BlockingWork
internal import Repository

/// Settles what a drill restores: the newest backup or any, to the end of WAL or any instant.
struct DrillPlanner {
  private let repository: Repository
  private let others: [StoreID]
  private let options: DrillOptions
  /// How long WAL behind the backup is waited for, so that there is something of ours to be proven.
  private static let patience: Duration = .seconds(60)

  struct Plan {
    var restore: RestorePlan
    /// When the WAL ends that is there.
    var known: Timestamp
    var options: RestoreOptions
    var repository: Repository
  }

  init(_ repository: Repository, _ options: DrillOptions) throws {
    self.options = options
    guard let store = options.store else {
      self.repository = repository
      others = []
      return
    }
    guard let alone = repository.only(store) else { throw DrillError.noSuchStore(store) }
    self.repository = alone
    others = repository.stores.map(\.id).filter { $0 != store }
  }

  /// - Throws: ``DrillError``, ``RecoveryError``, `CancellationError`, and what reading the stores throws.
  func plan(
    _ scratch: borrowing ScratchDirectory, _ cancellation: Cancellation, _ warn: (String) -> Void
  ) throws -> Plan {
    let (backup, known) = try repository.readingWhatIsListed {
      let backup = try pick(warn)
      return (backup, try waitForWAL(behind: backup, cancellation))
    }
    var restore = RestoreOptions(cluster: options.cluster, directory: scratch.dataDirectory, fetch: options.fetch)
    restore.backup = backup.id
    restore.workers = options.workers
    restore.share = .leftOver
    let earliest = backup.finished + (options.heartbeatInterval ?? .zero) * 2
    if options.target == .random, known > earliest {
      let span = earliest.microseconds...known.microseconds
      restore.target = .time(Timestamp(microseconds: .random(in: span)))
    }
    let header = try BackupCatalog(repository).open(backup.id, of: options.cluster).header
    for tablespace in header.tablespaces where tablespace.location.hasPrefix("/") {
      restore.tablespaces[tablespace.location] = "\(scratch.tablespaces)/\(tablespace.oid)"
    }
    var plan = try RestorePlanner(repository: repository).plan(restore)
    plan.unheard = Array(Set(plan.unheard + others)).sorted()
    return Plan(restore: plan, known: known, options: restore, repository: repository)
  }

  private func pick(_ warn: (String) -> Void) throws -> Backup {
    let (backups, damaged) = try BackupCatalog(repository).list(options.cluster)
    let physical = backups.filter { $0.kind == .physical && $0.deleted == nil }
    guard let newest = physical.last else {
      if let first = damaged.first { throw DrillError.backupUnreadable(first.backup, first.report) }
      throw RecoveryError.noBackup(options.cluster)
    }
    // Ids rise: what cannot be read is newer than what could be taken instead.
    if options.pick == .newest {
      if let first = damaged.filter({ $0.backup > newest.id }).max(by: { $0.backup < $1.backup }) {
        throw DrillError.backupUnreadable(first.backup, first.report)
      }
      return newest
    }
    for damage in damaged { warn("Backup \"\(damage.backup)\" cannot be read: \(damage.report.summary)") }
    return physical.filter { $0.systemIdentifier == newest.systemIdentifier }.randomElement() ?? newest
  }

  /// - Returns: The newest instant the WAL behind the backup is known to reach.
  private func waitForWAL(behind backup: Backup, _ cancellation: Cancellation) throws -> Timestamp {
    let lineage = Lineage(cluster: options.cluster, systemIdentifier: backup.systemIdentifier)
    let wanted = backup.finished + (options.heartbeatInterval ?? .zero) * 2
    let deadline = ContinuousClock.now + Self.patience
    while true {
      let spans = try BackupCatalog(repository).recoverableSpans([backup], WALCatalog(repository, lineage))
      let known = spans.last?.to ?? backup.finished
      if options.heartbeatInterval == nil || known >= wanted || ContinuousClock.now > deadline { return known }
      try cancellation.sleep(.seconds(1))
    }
  }
}
