public import BackupModel
internal import DurableFiles
public import Repository
internal import Storage

#if canImport(Glibc)
  import Glibc
#endif

/// Serves PostgreSQL's `restore_command`: one file of WAL by name.
///
/// What it answers decides whether PostgreSQL goes on, ends recovery and promotes, or stops:
/// - 0: the file is there.
/// - 1: proven absent. Every store has answered, and the segment lies beyond the planned end, or it is a history file.
/// - 126: everything else; PostgreSQL stops instead of promoting early.
///
/// A standby asks for ever and never promotes by itself: for it 1 says that the file did not come, for whatever reason,
/// after some attempts, and nothing is beyond the end.
/// - SeeAlso: PostgreSQL source, `xlogarchive.c`, `RestoreArchivedFile`.
public struct WALFetch: Sendable {
  public enum Outcome: Sendable {
    case done
    case absent(String)
    case failed(ErrorReport)
    /// For a standby, which asks again.
    case unavailable(ErrorReport)

    public var exitCode: Int32 {
      switch self {
      case .done: 0
      case .absent, .unavailable: 1
      case .failed: 126
      }
    }
    /// What to print to standard error; nil where there is nothing to say.
    public var report: ErrorReport? {
      switch self {
      case .done: nil
      case .absent(let text): ErrorReport(summary: text)
      case .failed(let report), .unavailable(let report): report
      }
    }
  }

  private let repository: Repository
  private let cluster: ClusterID
  private let until: WALPosition?
  private let directory: String
  private let reads = ReadLog()

  /// What was read from one store since another had it damaged.
  public var warnings: [String] { reads.warnings }

  /// - Parameters:
  ///   - until: The restore's planned end: WAL is served up to there and no further. Nil for a standby.
  ///   - directory: The data directory, where PostgreSQL runs the command; its control file says which lineage it is.
  public init(repository: Repository, cluster: ClusterID, until: WALPosition?, directory: String = ".") {
    self.repository = repository.noting(in: reads).seekingHidden()
    self.cluster = cluster
    self.until = until
    self.directory = directory
  }

  /// - Parameters:
  ///   - name: `%f`: a segment or history file.
  ///   - destination: `%p`: absolute, or relative to the working directory.
  public func fetch(_ name: String, to destination: String) -> Outcome {
    do {
      let (lineage, size) = try findLineage()
      if name.hasSuffix(".history") { return try fetchHistory(name, lineage, to: destination) }
      let segment = try WALSegment(name: name, size: size)
      return try fetch(segment, name, size, lineage, to: destination)
    } catch {
      return .failed(ErrorReport(error))
    }
  }

  /// For a standby: what may be mended by waiting is tried again some times, and then left to the standby's next asking.
  /// - Parameter attempt: Opens the repository too, which may be what fails.
  public static func patiently(_ attempt: () throws -> Outcome) -> Outcome {
    var last = ErrorReport(summary: "could not fetch WAL")
    for pause in [0, 200, 600, 1800] as [useconds_t] {
      usleep(pause * 1000)
      do {
        let outcome = try attempt()
        guard case .failed(let report) = outcome else { return outcome }
        last = report
      } catch {
        last = ErrorReport(error)
      }
    }
    return .unavailable(last)
  }

  private func findLineage() throws -> (Lineage, WALSegmentSize) {
    if DurableFile.exists(ControlFile.path(in: directory)) {
      let control = try ControlFile(readingFrom: directory)
      return (
        Lineage(cluster: cluster, systemIdentifier: control.systemIdentifier),
        try WALSegmentSize(bytes: control.walSegmentBytes)
      )
    }
    // By hand, outside a data directory: the lineage of the newest backup.
    guard let newest = try BackupCatalog(repository).list(cluster).backups.last(where: { $0.kind == .physical }) else {
      throw RecoveryError.noBackup(cluster)
    }
    let lineage = Lineage(cluster: cluster, systemIdentifier: newest.systemIdentifier)
    return (lineage, try WALCatalog(repository, lineage).segmentSize)
  }

  private func fetchHistory(_ name: String, _ lineage: Lineage, to destination: String) throws -> Outcome {
    guard name.utf8.count == 16, let number = UInt32(name.prefix(8), radix: 16), number > 0 else {
      throw FormatError.invalid(what: "history file name", text: name, expected: "a name such as 00000002.history")
    }
    let object = lineage.history(TimelineID(number))
    if try isAbsent(object) { return .absent("no store holds \"\(name)\"") }
    try write(try repository.read(.timelineHistory, object) { try $0.readStream() }, to: destination)
    return .done
  }

  private func fetch(
    _ segment: WALSegment, _ name: String, _ size: WALSegmentSize, _ lineage: Lineage, to destination: String
  ) throws -> Outcome {
    let object = lineage.walSegment(segment, size: size)
    let start = segment.start(size: size)
    // Nothing beyond the planned end is served, also where it has arrived since: a time after which nothing had ended
    // is restored by replaying what there was.
    if let until, start >= until.lsn {
      _ = try isAbsent(object)
      return .absent("\"\(name)\" lies beyond the planned end of recovery, \(PlannedEnd.text(until))")
    }
    guard var bytes = try read(segment, object, size, lineage) else {
      // PostgreSQL asks for the newest timeline first; before the planned end's own timeline nothing may be missing.
      guard let until, segment.timeline <= until.timeline else { return .absent("no store holds \"\(name)\"") }
      throw RecoveryError.segmentMissing(name, before: until)
    }
    if let until, segment.end(size: size) > until.lsn {
      let kept = Int(until.lsn - start)
      bytes.withUnsafeMutableBytes { bytes -> Void in
        _ = UnsafeMutableRawBufferPointer(rebasing: bytes[kept...]).initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
    try write(bytes, to: destination)
    return .done
  }

  /// The whole object, or the slices of an open segment joined and padded; nil where no store holds either.
  private func read(
    _ segment: WALSegment, _ object: ObjectName, _ size: WALSegmentSize, _ lineage: Lineage
  ) throws -> [UInt8]? {
    do {
      return try readWhole(object, size)
    } catch let error as StorageError where error.isMissing {
      let catalog = try WALCatalog(repository, lineage, segmentSize: size)
      if let piece = catalog.piece(segment) { _ = try catalog.readIndex(piece) }
      return try catalog.readSegment(segment)
    }
  }

  private func readWhole(_ object: ObjectName, _ size: WALSegmentSize) throws -> [UInt8] {
    // The index is not needed here, but an object that is damaged anywhere is not trusted.
    let bytes = try repository.read(.walSegment, object) { reader in
      _ = try reader.readWALIndex()
      return try reader.readStream()
    }
    guard bytes.count == Int(size.bytes) else {
      throw RepositoryError.damaged(
        object, in: repository.stores[0].id, reason: "It holds \(bytes.count) bytes of WAL, not a segment.")
    }
    return bytes
  }

  // MARK: Ahead

  /// Which segments a recovery asks for, in order.
  struct Plan: Sendable {
    var lineage: Lineage
    var size: WALSegmentSize
    /// Timelines with the number of the first segment that is read on them, newest first.
    var timelines: [(timeline: TimelineID, first: UInt64)]
    /// The last segment that is given whole; nil where there is no end.
    var lastWhole: UInt64?

    /// PostgreSQL takes the newest timeline that had begun when a segment ended.
    /// - SeeAlso: PostgreSQL source, `xlogrecovery.c`, `XLogFileReadAnyTLI`.
    func timeline(of segment: UInt64) -> TimelineID {
      timelines.first { $0.first <= segment }?.timeline ?? timelines[timelines.count - 1].timeline
    }
  }

  /// - Throws: What the repository throws.
  func plan() throws -> Plan {
    let (lineage, size) = try findLineage()
    guard let target = try until?.timeline ?? newestTimeline(of: lineage) else {
      throw RecoveryError.noBackup(cluster)
    }
    var history: TimelineHistory?
    if target.value > 1 {
      let bytes = try repository.read(.timelineHistory, lineage.history(target)) { try $0.readStream() }
      history = try TimelineHistory(timeline: target, text: String(decoding: bytes, as: UTF8.self))
    }
    let path = TimelinePath(to: target, history: history)
    return Plan(
      lineage: lineage, size: size,
      timelines: path.pieces.reversed().map { ($0.timeline, $0.first.value / size.bytes) },
      lastWhole: until.map { ($0.lsn.value / size.bytes) }.map { $0 == 0 ? 0 : $0 - 1 })
  }

  private func newestTimeline(of lineage: Lineage) throws -> TimelineID? {
    try WALCatalog(repository, lineage).timelines.max()
  }

  /// Writes a segment where it is there as a whole, and says whether it was.
  func fetchWhole(_ segment: WALSegment, _ plan: Plan, to destination: String) -> Bool {
    do {
      try write(readWhole(plan.lineage.walSegment(segment, size: plan.size), plan.size), to: destination)
      return true
    } catch {
      // Recovery asks for it in the ordinary way, and is told why it cannot have it.
      return false
    }
  }

  /// Whether no store holds an object.
  /// - Throws: `StorageError` where a store does not answer: then nothing is proven.
  private func isAbsent(_ object: ObjectName) throws -> Bool {
    var isAbsent = true
    for store in repository.stores where try store.objects.size(of: object) != nil { isAbsent = false }
    return isAbsent
  }

  private func write(_ bytes: [UInt8], to destination: String) throws {
    // PostgreSQL looks at the destination as soon as it is there, so it appears whole.
    let temporary = destination + ".tmp"
    do {
      let file = try Descriptor(opening: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
      try bytes.withUnsafeBufferPointer { try file.writeAll(UnsafeRawBufferPointer($0)) }
      guard rename(temporary, destination) == 0 else { throw FileError.last("rename into place", destination) }
    } catch {
      unlink(temporary)
      throw error
    }
  }
}
