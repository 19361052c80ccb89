internal import BackupModel
public import BlockingWork
internal import Compression
internal import Storage
import Synchronization

/// Writes one logical backup: streams cut into pieces, new pieces into frames and packs, the manifest last.
///
/// Each stream is cut by a thread with a ``Cutter`` of its own; the threads of ``bodies`` compress, seal and carry. Until
/// ``commit(_:cancellation:)`` returns there is no backup.
///
/// - Note: `@unchecked Sendable`: what the cutters fill together is touched while `lock` is held, and after the last
///   ``finish()`` by one thread.
public final class DumpWriter: @unchecked Sendable {
  public struct Options: Sendable {
    /// zstd's, 1 to 19.
    public var level: Int
    /// Threads that compress and seal.
    public var workers: Int
    /// Threads that cut at the same time.
    public var cutters: Int
    public init(level: Int = 1, workers: Int = 1, cutters: Int = 1) {
      self.level = level
      self.workers = max(1, workers)
      self.cutters = max(1, cutters)
    }
  }

  /// A frame on its way to a worker.
  final class FilledFrame: @unchecked Sendable {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: SealedFormat.maximumFrame, alignment: 4096)
    var count = 0
    /// Its number among the frames of the part.
    var number: UInt32 = 0
    /// Where its cutter waits to hear of it.
    var placements: FramePlacements?
    deinit { bytes.deallocate() }
  }

  /// Bytes of all streams that are cut at the same time in one entry of the manifest each: what a run holds in memory, and
  /// what the next one looks through.
  public static let partSize = 256 << 20
  /// Buffers of 32 MiB between sealing and the stores: one is filled while the other is carried.
  static let packBuffers = 2

  public let repository: Repository
  public let lineage: Lineage
  let options: Options
  let parent: ParentPieces?
  let caches: PieceCaches?
  let sender: PackSender
  let packs: PackWriter
  let metadata: MetadataWriter
  let free: BoundedRing<FilledFrame>
  let filled: BoundedRing<FilledFrame>
  private let running: Mutex<Int>
  private let cutting: Mutex<Int>
  let lock = Mutex(())
  let cancellation: Cancellation
  private let handler: Int
  var table = FileTable()
  var usage = PieceUsage()
  var totalBytes: UInt64 = 0
  var newBytes: UInt64 = 0
  var rewrittenBytes: UInt64 = 0
  var pieces: UInt64 = 0
  var newPieces: UInt64 = 0
  var cache: PieceCacheWriter?
  var cacheFailure: ErrorReport?

  public init(
    repository: Repository, lineage: Lineage, options: Options = Options(), parent: ParentPieces? = nil,
    caches: PieceCaches? = nil, cancellation: Cancellation
  ) throws {
    self.repository = repository
    self.lineage = lineage
    self.options = options
    self.parent = parent
    self.caches = caches
    self.cancellation = cancellation
    sender = try PackSender(
      stores: repository.required, unheard: parent?.unheard ?? [:], buffers: Self.packBuffers,
      cancellation: cancellation)
    packs = PackWriter(repository: repository, lineage: lineage, sender: sender)
    metadata = try MetadataWriter(repository: repository, lineage: lineage, sender: sender)
    running = Mutex(options.workers)
    cutting = Mutex(options.cutters)
    // Every cutter may hold one that is not full.
    let count = options.workers * 2 + 1 + options.cutters
    let free = BoundedRing<FilledFrame>(capacity: count)
    let filled = BoundedRing<FilledFrame>(capacity: count)
    for _ in 0..<count { try free.push(FilledFrame()) }
    self.free = free
    self.filled = filled
    handler = cancellation.addHandler {
      free.abort()
      filled.abort()
    }
    if let caches {
      do { cache = try PieceCacheWriter(path: caches.next) } catch { cacheFailure = ErrorReport(error) }
    }
  }

  deinit { cancellation.removeHandler(handler) }

  /// The work of all threads but those that cut; each ends after the last ``finish()``.
  public var bodies: [@Sendable () throws -> Void] {
    Array(repeating: { @Sendable in try self.compress() }, count: options.workers) + sender.bodies
  }

  /// No more streams come from one of the cutters; each calls it once.
  public func finish() {
    let isLast = cutting.withLock {
      $0 -= 1
      return $0 == 0
    }
    if isLast { filled.close() }
  }

  private func compress() throws {
    let compressor = try ZstdCompressor(level: options.level)
    let room = UnsafeMutableRawBufferPointer.allocate(
      byteCount: ZstdCompressor.bound(SealedFormat.maximumFrame), alignment: 64)
    defer { room.deallocate() }
    while let frame = try filled.pop() {
      try cancellation.check()
      let plain = UnsafeRawBufferPointer(rebasing: frame.bytes[..<frame.count])
      let count = try compressor.compress(plain, into: room)
      let place = try packs.append(
        compressed: UnsafeRawBufferPointer(rebasing: room[..<count]), plainLength: plain.count, role: .stream)
      frame.placements?.note(frame.number, place)
      try free.push(frame)
    }
    // The last worker to leave seals what is open.
    let isLast = running.withLock {
      $0 -= 1
      return $0 == 0
    }
    guard isLast else { return }
    try packs.finish()
    try metadata.finish()
    sender.close()
  }

  /// Sealed bytes handed to the stores so far.
  public var storedBytes: Int64 { sender.storedBytes }

  /// Takes back what this run stored: for a run that failed.
  public func discard() { sender.removeWritten() }
}

extension DumpWriter {
  /// Publishes the manifest in every store that holds all packs; durable on return. From then on there is a backup.
  /// - Parameter header: Counts and sizes are filled in here.
  public func commit(_ header: ManifestHeader, cancellation: Cancellation) throws -> BackupWriter.Committed {
    let header = counted(header)
    if let path = table.sort() { throw RepositoryError.entryInvalid(path) }
    let live = usage.livePacks { self.size(of: $0) } + metadata.livePacks
    let objects = try ManifestWriter(repository: repository, lineage: lineage).write(header, packs: live, files: table)
    finishCache(header)
    let outcome = try ManifestPublisher(repository: repository, lineage: lineage, sender: sender).publish(
      objects, of: header, on: live, without: [:], cancellation: cancellation)
    return BackupWriter.Committed(
      backup: header.backup(stores: outcome.published, missingStores: outcome.missing), failures: outcome.failures,
      warnings: outcome.warnings + settle(isComplete: outcome.missing.isEmpty))
  }

  private func counted(_ header: ManifestHeader) -> ManifestHeader {
    var header = header
    header.parent = parent?.parent
    header.fileCount = UInt64(table.count)
    header.totalBytes = ByteCount(totalBytes)
    header.newBytes = ByteCount(newBytes)
    header.storedBytes = ByteCount(sender.storedBytes)
    header.dump?.pieces = pieces
    header.dump?.piecesNew = newPieces
    header.dump?.rewrittenBytes = ByteCount(rewrittenBytes)
    return header
  }

  private func size(of pack: PackID) -> UInt32? {
    packs.size(of: pack) ?? parent?.packs.first { $0.id == pack }?.size
  }

  private func finishCache(_ header: ManifestHeader) {
    guard cache != nil, cacheFailure == nil else { return }
    let packs = usage.ids.map { PieceCache.Pack(id: $0, size: size(of: $0) ?? 0) }
    do {
      try cache!.finish(
        packs,
        .init(
          repository: repository.id, cluster: lineage.cluster, systemIdentifier: lineage.systemIdentifier,
          backup: header.id))
    } catch {
      cacheFailure = ErrorReport(error)
    }
  }

  /// What is left to do once there is a backup; none of it can take the backup back.
  private func settle(isComplete: Bool) -> [ErrorReport] {
    var warnings: [ErrorReport] = []
    if let failure = parent?.failure {
      warnings.append(
        ErrorReport(summary: "some pieces were stored anew: \(failure.summary)", detail: failure.detail))
    }
    // One that a store lacks is nobody's parent.
    guard isComplete, let caches else { return warnings }
    do { if cacheFailure == nil { try caches.publish() } } catch { cacheFailure = ErrorReport(error) }
    if let cacheFailure {
      warnings.append(
        ErrorReport(
          summary: "the next dump will take over less: \(cacheFailure.summary)", detail: cacheFailure.detail,
          hint: "Make room in the state directory."))
    }
    return warnings
  }
}
