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
/// - SeeAlso: PostgreSQL source, `xlogarchive.c`, `RestoreArchivedFile`.
public struct WALFetch: Sendable {
  public enum Outcome: Sendable {
    case done
    case absent(String)
    case failed(ErrorReport)

    public var exitCode: Int32 {
      switch self {
      case .done: 0
      case .absent: 1
      case .failed: 126
      }
    }
    /// What to print to standard error; nil where there is nothing to say.
    public var report: ErrorReport? {
      switch self {
      case .done: nil
      case .absent(let text): ErrorReport(summary: text)
      case .failed(let report): report
      }
    }
  }

  private let repository: Repository
  private let cluster: ClusterID
  private let until: WALPosition
  private let directory: String

  /// - Parameters:
  ///   - until: The restore's planned end: WAL is served up to there and no further.
  ///   - directory: The data directory, where PostgreSQL runs the command; its control file says which lineage it is.
  public init(repository: Repository, cluster: ClusterID, until: WALPosition, directory: String = ".") {
    self.repository = repository
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

  private func findLineage() throws -> (Lineage, WALSegmentSize) {
    if DurableFile.exists(ControlFile.path(in: directory)) {
      let control = try ControlFile(readingFrom: directory)
      return (
        Lineage(cluster: cluster, systemIdentifier: control.systemIdentifier),
        try WALSegmentSize(bytes: control.walSegmentBytes)
      )
    }
    // By hand, outside a data directory: the lineage of the newest backup.
    guard let newest = try BackupCatalog(repository).list(cluster).backups.last else {
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
    if start >= until.lsn {
      _ = try isAbsent(object)
      return .absent("\"\(name)\" lies beyond the planned end of recovery, \(PlannedEnd.text(until))")
    }
    guard var bytes = try read(segment, object, size, lineage) else {
      // PostgreSQL asks for the newest timeline first; before the planned end's own timeline nothing may be missing.
      if segment.timeline > until.timeline { return .absent("no store holds \"\(name)\"") }
      throw RecoveryError.segmentMissing(name, before: until)
    }
    if segment.end(size: size) > until.lsn {
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
    } catch let error as StorageError where error.isMissing {
      let catalog = try WALCatalog(repository, lineage, segmentSize: size)
      if let piece = catalog.piece(segment) { _ = try catalog.readIndex(piece) }
      return try catalog.readSegment(segment)
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
