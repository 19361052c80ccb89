internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Postgres
internal import Repository
import Synchronization

/// The threads of a direct backup: one that lists the data directory, N workers that read, compare and store, one sender
/// a store. `pg_control` comes when all else is read, then the server's label and the manifest of our making.
struct DirectCrew {
  struct Outcome: Sendable {
    var stop: BackupSession.Stop
    var tablespaces: [ManifestHeader.Tablespace]
    var warnings: [String]
  }

  let work: DirectWork
  let workers: Int
  let share: HostShare
  let root: String
  let identity: ServerFacts.Identity
  let facts: ServerFacts
  let configuration: ConfigurationFiles

  private var writer: BackupWriter { work.writer }
  private var cancellation: Cancellation { work.cancellation }

  /// Bytes of the files there are now, about.
  func totalBytes() throws -> Int64 {
    var total: Int64 = 0
    var listing = makeListing()
    try listing.walk { if case .file(let item) = $0 { total += Int64(item.status.st_size) } }
    return total
  }

  private func makeListing() -> DataDirectoryListing {
    DataDirectoryListing(
      root: root, tablespaceDirectory: identity.tablespaceDirectory, majorVersion: facts.majorVersion,
      cancellation: cancellation)
  }

  /// Runs until everything is durable in the stores.
  func run(_ session: BackupSession) throws -> Outcome {
    let tasks = BoundedRing<DirectTask>(capacity: workers * 8)
    let idle = BoundedRing<Int>(capacity: workers)
    let handler = cancellation.addHandler {
      tasks.abort()
      idle.abort()
    }
    defer { cancellation.removeHandler(handler) }
    let outcome = Mutex<Outcome?>(nil)
    let session = SendableSession(session)
    let crew = self
    var bodies: [@Sendable () throws -> Void] = [
      {
        let (tablespaces, warnings) = try crew.handOut(tasks)
        tasks.close()
        for _ in 0..<crew.workers { _ = try idle.pop() }
        let stop = try crew.finish(session.session)
        outcome.withLock { $0 = Outcome(stop: stop, tablespaces: tablespaces, warnings: warnings) }
      }
    ]
    for number in 0..<workers {
      bodies.append {
        let worker = try DirectWorker(crew.work)
        while let task = try tasks.pop() { try worker.run(task) }
        try worker.worker.finish()
        try idle.push(number)
      }
    }
    bodies += writer.senders
    try runTogether(cancellation, label: "backup", share: share, bodies)
    try cancellation.check()
    guard let result = outcome.withLock({ $0 }) else { throw CancellationError() }
    return result
  }

  /// Lists the data directory; large files are opened here and cut into ranges.
  private func handOut(_ tasks: BoundedRing<DirectTask>) throws -> ([ManifestHeader.Tablespace], [String]) {
    var listing = makeListing()
    try listing.walk { entry in
      switch entry {
      case .directory(let item):
        writer.add(ManifestFile(path: item.path, kind: .directory, mode: item.mode, modified: item.modified))
      case .link(let item, let target):
        writer.add(
          ManifestFile(
            path: item.path, kind: .symlink, mode: item.mode, modified: item.modified, linkTarget: target))
      case .file(let item):
        if item.status.st_size > SourceFile.rangeSize { return try cut(item, tasks) }
        try tasks.push(.file(path: item.path, source: item.source, mode: item.mode, modified: item.modified))
      }
    }
    let warnings = listing.skipped.map { "\"\($0)\" is neither a file nor a directory; it is not in the backup" }
    return (listing.tablespaces.map { .init(oid: $0.oid, location: $0.location) }, warnings)
  }

  private func cut(_ item: DataDirectoryListing.Item, _ tasks: BoundedRing<DirectTask>) throws {
    guard let source = try SourceFile.open(item.source) else { return }
    let size = try source.size()
    var entry = ManifestFile(path: item.path, kind: .file, mode: item.mode, modified: item.modified)
    guard size > 0 else { return writer.add(entry) }
    entry.size = size
    let number = writer.beginFile(item.path)
    var offset: UInt64 = 0
    while offset < size {
      let length = min(size - offset, UInt64(SourceFile.rangeSize))
      // Before the last piece is processed the file must know that it is the last.
      writer.announcePieces(of: number, count: DirectWorker.pieces(of: length))
      try tasks.push(.range(number: number, path: item.path, source: source, offset: offset, length: Int(length)))
      offset += length
    }
    try writer.endFile(number, entry)
  }

  /// What must come last, in this order.
  private func finish(_ session: BackupSession) throws -> BackupSession.Stop {
    let worker = try BackupWriter.Worker(writer)
    var filler = try FrameFiller(writer, worker)
    try configuration.store(into: &filler)
    let control = try ControlFileReader.read(root, cancellation)
    try store(DataDirectoryListing.controlFile, control, &filler)
    let stop = try session.stop()
    try store("backup_label", stop.label, &filler)
    try filler.flush()
    try worker.finish()
    try storeManifest(stop, &filler)
    try filler.finish()
    try worker.finish()
    try writer.finishPages()
    return stop
  }

  private func store(_ path: String, _ bytes: [UInt8], _ filler: inout FrameFiller) throws {
    filler.begin(path)
    try bytes.withUnsafeBytes { try filler.append($0) }
    _ = try filler.end(kind: .file, mode: 0o600, modified: Timestamp.now().seconds)
  }

  private func storeManifest(_ stop: BackupSession.Stop, _ filler: inout FrameFiller) throws {
    if let path = writer.sortFiles() { throw PipelineError.pathTwice(path, writer.lineage.cluster) }
    filler.begin("backup_manifest")
    let text = try BackupManifestText()
    try text.begin(majorVersion: facts.majorVersion, systemIdentifier: facts.systemIdentifier) {
      try filler.append($0)
    }
    try writer.forEachFile { file in
      guard file.kind == .file else { return }
      try cancellation.check()
      try text.add(file) { try filler.append($0) }
    }
    try text.end(timeline: stop.position.timeline, start: stop.start, stop: stop.position.lsn) { try filler.append($0) }
    _ = try filler.end(kind: .file, mode: 0o600, modified: Timestamp.now().seconds)
  }
}

/// - Note: `@unchecked Sendable`: used by the listing thread alone while the crew runs.
private final class SendableSession: @unchecked Sendable {
  let session: BackupSession
  init(_ session: BackupSession) { self.session = session }
}
