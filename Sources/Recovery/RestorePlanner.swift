internal import BackupModel
public import Repository

/// Settles what a restore will do: which backup, which timeline, how far. Reads manifests and WAL indexes only.
public struct RestorePlanner: Sendable {
  private let repository: Repository

  public init(repository: Repository) { self.repository = repository }

  /// - Throws: ``RecoveryError/targetUnreachable(_:reason:reachable:)`` and others, `RepositoryError`, `StorageError`.
  public func plan(_ options: RestoreOptions) throws -> RestorePlan {
    do {
      var plan = try repository.readingWhatIsListed { try settle(options) }
      for (store, report) in repository.unheard.sorted(by: { $0.key < $1.key }) where !plan.unheard.contains(store) {
        plan.warnings.append(RecoveryError.unheard(store, report))
      }
      return plan
    } catch let error as RecoveryError {
      let unheard = repository.unheard
      throw unheard.isEmpty ? error : .storesUnheard(error, unheard)
    }
  }

  private func settle(_ options: RestoreOptions) throws -> RestorePlan {
    let (lineage, headers, damaged) = try candidates(options)
    let size = try segmentSize(headers[0])
    let wal = try WALCatalog(repository, lineage, segmentSize: size)
    let path = try timelinePath(options, headers, wal)
    var search = TargetSearch(options: options, path: path)
    for header in headers {
      guard let stretch = try search.stretch(after: header, wal) else { continue }
      switch try TargetResolution(options.target, from: header, in: stretch) {
      case .reachable(let replay, let lsn):
        try search.checkNothingLiesBeyondAGap(stretch, wal)
        return plan(
          options, lineage, header, replay: replay, lsn: lsn, timeline: path.target, end: stretch.end,
          size: size, warnings: damaged + (try search.warnings(header, stretch, wal)),
          unheard: wal.failures.keys.sorted())
      case .beforeBackup, .unknown: continue
      case .beyond(let reason): search.reason = search.reason ?? reason
      }
    }
    throw search.failure()
  }

  /// Backups that may be used, newest first, all of one lineage.
  private func candidates(
    _ options: RestoreOptions
  ) throws -> (lineage: Lineage, headers: [ManifestHeader], warnings: [String]) {
    let catalog = BackupCatalog(repository)
    if let id = options.backup {
      let reader = try catalog.open(id, of: options.cluster)
      try catalog.refuseDeleted(id, reader.lineage)
      guard reader.header.kind == .physical else {
        throw RecoveryError.backupNotRestorable(
          id, reason: "It is a dump: \"backupctl restore-dump\" loads it into a database.")
      }
      return (reader.lineage, [reader.header], [])
    }
    let (backups, damaged) = try catalog.list(options.cluster)
    let physical = backups.filter { $0.kind == .physical && $0.deleted == nil }
    // Listed by lineage: the last is of the newest that has any.
    guard let newest = physical.last else {
      if let first = damaged.first {
        throw RecoveryError.backupNotRestorable(
          first.backup, reason: [first.report.summary, first.report.detail].compactMap { $0 }.joined(separator: ": "))
      }
      throw RecoveryError.noBackup(options.cluster)
    }
    let lineage = Lineage(cluster: options.cluster, systemIdentifier: newest.systemIdentifier)
    let headers = try physical.filter { $0.systemIdentifier == newest.systemIdentifier }
      .sorted { $0.sequence > $1.sequence }.map { try catalog.readHeader(of: $0.id, lineage) }
    let warnings = damaged.map { "Backup \"\($0.backup)\" was not considered: \($0.report.summary)" }
    return (lineage, headers, warnings)
  }

  /// The timeline asked for, or the latest that descends from the newest backup's and has a backup on its way; and the
  /// way there. So a backup that was taken of what a failover left behind does not lead back there.
  private func timelinePath(
    _ options: RestoreOptions, _ headers: [ManifestHeader], _ wal: WALCatalog
  ) throws -> TimelinePath {
    let newest = headers[0]
    let known = wal.knownTimelines
    if let wanted = options.timeline {
      guard wanted == newest.timeline || known.contains(wanted) else {
        throw RecoveryError.timelineUnknown(wanted, known: known)
      }
      return try path(to: wanted, wal)
    }
    for timeline in known.reversed() where timeline > newest.timeline {
      let path = try path(to: timeline, wal)
      guard path.pieces.contains(where: { $0.timeline == newest.timeline }) else { continue }
      if headers.contains(where: { path.index(of: $0.timeline, reaching: $0.stopLSN) != nil }) { return path }
    }
    return try path(to: newest.timeline, wal)
  }

  /// - Throws: ``RecoveryError/historyMissing(_:)``: PostgreSQL would stop at the first history file it cannot get.
  private func path(to timeline: TimelineID, _ wal: WALCatalog) throws -> TimelinePath {
    guard let path = try wal.path(to: timeline) else { throw RecoveryError.historyMissing(timeline) }
    return path
  }

  private func segmentSize(_ header: ManifestHeader) throws -> WALSegmentSize {
    do {
      return try WALSegmentSize(bytes: header.walSegmentBytes)
    } catch {
      throw RecoveryError.backupNotRestorable(header.id, reason: ErrorReport(error).summary)
    }
  }

  private func plan(
    _ options: RestoreOptions, _ lineage: Lineage, _ header: ManifestHeader, replay: RecoveryTarget, lsn: LSN?,
    timeline: TimelineID, end: WALPosition, size: WALSegmentSize, warnings: [String], unheard: [StoreID]
  ) -> RestorePlan {
    RestorePlan(
      lineage: lineage, header: header, target: options.target, replayTarget: replay, timeline: timeline,
      action: options.action, end: end, targetLSN: lsn, segmentSize: size, warnings: warnings, unheard: unheard)
  }
}
