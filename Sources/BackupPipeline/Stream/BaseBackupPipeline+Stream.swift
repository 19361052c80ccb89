internal import BackupModel
internal import BlockingWork
internal import Postgres
internal import Repository

/// Files over the replication protocol: `BASE_BACKUP`.
extension BaseBackupPipeline {
  func openStream(_ id: BackupID, _ cancellation: Cancellation) throws -> BaseBackupStream {
    let connection = try ReplicationConnection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation,
      observeNotice: observeNotice)
    return try connection.baseBackup(
      .init(
        label: "backupd \(id)", checkpoint: options.checkpoint == .fast ? .fast : .spread,
        maximumRate: options.maximumRate))
  }

  /// Reads the stream on one thread, stores frames on others, until all pages are in the stores.
  func copy(
    _ stream: BaseBackupStream, _ writer: BackupWriter, _ prepared: Prepared, _ header: inout ManifestHeader,
    _ cancellation: Cancellation, _ clock: PhaseClock
  ) throws {
    let crew = BackupCrew(
      writer: writer, workers: options.workers, share: options.isIdle ? .leftOver : .equal, cancellation: cancellation)
    let inspector = prepared.facts.dataChecksums ? PageInspector(start: stream.start.lsn) : nil
    let total = stream.tablespaces.reduce(Int64(0)) { $0 + ($1.size?.value ?? 0) }
    if prepared.caches != nil { writer.leaveCheckpoints(header, expected: total) }
    let cluster = options.cluster
    let configuration = prepared.configuration
    let observe = self.observe
    let stop = try crew.run(inspector) { given in
      var filler = given
      try configuration.store(into: &filler)
      var reader = StreamReader(cluster, writer, filler) { done in
        observe(
          RunProgress(phase: "copying", doneBytes: ByteCount(done), totalBytes: ByteCount(max(total, done))))
      }
      return try reader.read(stream, cancellation: cancellation)
    }
    header.timeline = stream.start.timeline
    header.startLSN = stream.start.lsn
    header.stopLSN = stop.lsn
    header.tablespaces = stream.tablespaces.compactMap { space in
      guard let oid = space.oid, let location = space.location else { return nil }
      return .init(oid: oid, location: location)
    }
    guard stop.timeline == stream.start.timeline else {
      throw PipelineError.timelineChanged(options.cluster, from: stream.start.timeline, to: stop.timeline)
    }
    if let inspector { try confirm(inspector, &header, cancellation) }
  }

  /// Suspect pages are read again through SQL; what still does not fit is recorded and warned of.
  private func confirm(
    _ inspector: PageInspector, _ header: inout ManifestHeader, _ cancellation: Cancellation
  ) throws {
    let (suspects, unlisted) = inspector.found
    if suspects.isEmpty { return }
    let connection = try Connection(
      options.connection, applicationName: "backupd backup", cancellation: cancellation,
      observeNotice: observeNotice)
    defer { connection.close() }
    note(try inspector.confirm(with: connection), unlisted: unlisted, in: &header)
  }

  /// Pages whose checksum is wrong stay in the backup as they are, and are warned of.
  func note(_ damaged: [DamagedPage], unlisted: Int, in header: inout ManifestHeader) {
    header.damagedPages = damaged
    if damaged.isEmpty && unlisted == 0 { return }
    let first = damaged.prefix(5).map { "\"\($0.path)\" block \($0.block)" }.joined(separator: ", ")
    let count = damaged.count + unlisted
    header.warnings.append(
      "\(count) page\(count == 1 ? " has a wrong checksum" : "s have wrong checksums") on the server: \(first)"
        + (count > 5 ? ", …" : ""))
  }
}
