internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository

extension BaseBackupPipeline {
  /// What is known before the first byte.
  struct Prepared {
    var facts: ServerFacts
    var lineage: Lineage
    var header: ManifestHeader
    var configuration: ConfigurationFiles
    var databases: DatabasePlaces
    var access: Access
    var parent: ParentPages?
    var caches: FingerprintCaches?
    /// Taken before anything is taken over: what the parent has must not go meanwhile.
    var lease: Lease
    var warnings: [ErrorReport]
    var walFacts: WALProofFacts {
      WALProofFacts(
        systemIdentifier: facts.systemIdentifier, timeline: facts.timeline, segmentSize: facts.walSegmentSize)
    }
  }

  /// Asks the server, refuses early what cannot work, and chooses the backup's place in the lineage.
  func prepare(_ cancellation: Cancellation) throws -> Prepared {
    let connection = try Connection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation, observeNotice: observeNotice)
    defer { connection.close() }
    let facts = try ServerFacts.read(from: connection)
    let preflight = Preflight.baseBackup(facts)
    try preflight.check()
    let lineage = Lineage(cluster: options.cluster, systemIdentifier: facts.systemIdentifier)
    // A foreign cluster behind a known name would mix two histories.
    try repository.requireCurrent(lineage)
    var header = try newHeader(lineage)
    header.serverVersion = facts.versionNumber
    header.walSegmentBytes = facts.walSegmentSize.bytes
    header.dataChecksums = facts.dataChecksums
    let configuration = try ConfigurationFiles.read(connection, facts)
    header.configurationFiles = configuration.settings
    header.warnings = configuration.warnings
    let access = try chooseAccess(connection, facts)
    var prepared = Prepared(
      facts: facts, lineage: lineage, header: header, configuration: configuration,
      databases: try DatabasePlaces.read(connection), access: access,
      lease: try Lease(.backup, repository, lineage, cancellation: cancellation), warnings: preflight.warnings)
    do {
      try chooseParent(&prepared, cancellation)
    } catch {
      prepared.lease.release()
      throw error
    }
    return prepared
  }

  /// Finds what can be taken over from the newest backup, or from a run that did not end.
  private func chooseParent(_ prepared: inout Prepared, _ cancellation: Cancellation) throws {
    guard let directory = options.fingerprintDirectory else { return }
    let caches = FingerprintCaches(repository, prepared.lineage, directory: directory)
    let (pages, warnings) = try caches.parent(anew: options.full, cancellation: cancellation)
    prepared.caches = caches
    prepared.parent = pages
    prepared.header.parent = pages?.parent
    // They stay with the backup: "show" says why it is as large as it is.
    prepared.header.warnings += warnings.map { $0.summary + ($0.detail.map { ": \($0)" } ?? "") }
  }

  private func newHeader(_ lineage: Lineage) throws -> ManifestHeader {
    let newest = try BackupCatalog(repository).newest(lineage)
    // A checkpoint has the id of a backup that did not come about; ours is newer than that, too.
    let begun = try RunCheckpoint.list(repository, lineage).last?.backup
    let last = max(newest?.id.started.seconds ?? 0, begun?.started.seconds ?? 0)
    // Never by the clock alone: ids rise with sequence numbers, also after the clock was set back.
    let started = Timestamp.now()
    let idTime = max(started.seconds, last + 1)
    return ManifestHeader(
      id: BackupID(started: Timestamp(seconds: idTime)), cluster: options.cluster,
      systemIdentifier: lineage.systemIdentifier, kind: .physical, job: options.job, run: options.run,
      sequence: (newest?.sequence ?? 0) + 1, started: started)
  }
}
