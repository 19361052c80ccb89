public import BackupModel
public import BlockingWork
internal import Compression
internal import Cryptography
internal import KeyManagement
internal import Storage
import Synchronization

/// Writes the files of one backup: frames into packs, page maps into metadata packs, the manifest last.
///
/// One reader calls ``beginFile()`` and ``endFile(_:)``, workers call ``Worker/store(_:)``, one thread a store runs
/// ``runSender(_:)``. Until ``commit(_:)`` returns there is no backup.
///
/// - Note: `@unchecked Sendable`: file state is touched only while `lock` is held.
public final class BackupWriter: @unchecked Sendable {
  /// Buffers of 32 MiB between sealing and the stores.
  static let packBuffers = 3

  private struct OpenFile {
    var assembly = PageMap.Assembly()
    /// Pieces handed to workers and not yet stored.
    var pending = 0
    var entry: ManifestFile?
  }

  public let repository: Repository
  public let lineage: Lineage
  private let level: Int
  private let sender: PackSender
  private let packs: PackWriter
  private let lock = Mutex(())
  private let metadata: MetadataWriter
  private var openFiles: [Int: OpenFile] = [:]
  private var nextFile = 0
  private var table = FileTable()
  private var invalidPath: String?
  private var totalBytes: UInt64 = 0
  private var pages: UInt64 = 0

  /// - Parameter level: zstd's, 1 to 19.
  public init(repository: Repository, lineage: Lineage, level: Int, cancellation: Cancellation) throws {
    self.repository = repository
    self.lineage = lineage
    self.level = level
    sender = try PackSender(stores: repository.stores, buffers: Self.packBuffers, cancellation: cancellation)
    packs = PackWriter(repository: repository, lineage: lineage, sender: sender)
    metadata = try MetadataWriter(repository: repository, lineage: lineage, sender: sender)
  }

  /// A number for a file whose pages follow.
  public func beginFile() -> Int {
    lock.withLock { _ in
      nextFile += 1
      openFiles[nextFile] = OpenFile()
      return nextFile
    }
  }

  /// Announces a piece of a file: the file is not complete before a worker has stored it.
  public func announcePiece(of number: Int) {
    lock.withLock { _ in openFiles[number]!.pending += 1 }
  }

  /// A file is complete: all its pieces are announced, its size and checksum known.
  /// - Throws: ``RepositoryError/entryInvalid(_:)``, and what storing its page map does.
  public func endFile(_ number: Int, _ entry: ManifestFile) throws {
    guard entry.isReadable else { throw RepositoryError.entryInvalid(entry.path) }
    try lock.withLock { _ in
      openFiles[number]!.entry = entry
      try finishIfDone(number)
    }
  }

  /// A directory, a link or an empty file. One that no reader would accept makes ``commit(_:cancellation:)`` throw.
  public func add(_ entry: ManifestFile) {
    lock.withLock { _ in
      if entry.isReadable { table.append(entry) } else { invalidPath = entry.path }
    }
  }

  private func finishIfDone(_ number: Int) throws {
    guard let file = openFiles[number], file.pending == 0, var entry = file.entry else { return }
    openFiles[number] = nil
    if entry.size > 0 {
      let map = file.assembly.finish()
      precondition(map.covers(pages: entry.pages), "page map of \(entry.path) has a hole")
      entry.pageMap = try metadata.append(map)
    }
    totalBytes += entry.size
    pages += entry.pages
    table.append(entry)
  }

  /// Compresses and seals frames. One per thread.
  public final class Worker {
    private let writer: BackupWriter
    private let compressor: ZstdCompressor
    private let fingerprinter: PageFingerprinter
    private let scratch: UnsafeMutableRawBufferPointer
    private var fingerprints: [Fingerprint]

    public init(_ writer: BackupWriter) throws {
      self.writer = writer
      compressor = try ZstdCompressor(level: writer.level)
      fingerprinter = try writer.repository.keys.current.makeFingerprinter()
      scratch = .allocate(byteCount: ZstdCompressor.bound(SealedFormat.maximumFrame), alignment: 64)
      fingerprints = Array(repeating: Fingerprint(low: 0, high: 0), count: SealedFormat.slotsPerFrame)
    }
    deinit { scratch.deallocate() }

    /// Stores all pages of a frame whose pieces were announced. The frame may be used again on return.
    public func store(_ frame: PageFrame) throws {
      let count = try compressor.compress(frame.bytes, into: scratch)
      let (pack, location) = try fingerprints.withUnsafeMutableBufferPointer { all in
        let mine = UnsafeMutableBufferPointer(rebasing: all[..<frame.slots])
        try fingerprinter.fingerprint(frame.bytes, into: mine)
        return try writer.packs.append(
          compressed: UnsafeRawBufferPointer(rebasing: scratch[..<count]), plainLength: frame.bytes.count,
          fingerprints: UnsafeBufferPointer(mine))
      }
      try writer.stored(frame, in: pack, at: location)
    }
  }

  private func stored(_ frame: PageFrame, in pack: PackID, at location: FrameLocation) throws {
    try lock.withLock { _ in
      for piece in frame.pieces {
        openFiles[piece.file]!.assembly.add(
          firstPage: piece.firstPage, count: UInt32(piece.count), slot: UInt32(piece.slot), pack: pack,
          location: location)
        openFiles[piece.file]!.pending -= 1
        try finishIfDone(piece.file)
      }
    }
  }

  /// The work of one store's thread: ends after ``finishPages()``.
  public func runSender(_ store: Int) throws { try sender.run(store: store) }

  /// Every frame is stored: seals the last packs and lets the senders end.
  public func finishPages() throws {
    try packs.finish()
    try lock.withLock { _ in
      precondition(openFiles.isEmpty, "\(openFiles.count) files were never ended")
      try metadata.finish()
    }
    sender.close()
  }

  /// Sorts the entries, so that ``file(_:)`` finds them.
  /// - Returns: A path that is there twice, where there is one.
  public func sortFiles() -> String? { lock.withLock { _ in table.sort() } }

  /// The entry of a path, after ``sortFiles()``.
  public func file(_ path: String) -> ManifestFile? { lock.withLock { _ in table.find(path) } }

  /// Sealed bytes handed to the stores so far.
  public var storedBytes: Int64 { sender.storedBytes }

  /// Takes back what this run stored: for a run that failed.
  public func discard() { sender.removeWritten() }

  /// Publishes the manifest in every store that holds all packs; durable on return. From then on there is a backup.
  /// - Parameter header: Counts and sizes are filled in here.
  /// - Returns: The backup, and why stores are missing.
  public func commit(
    _ header: ManifestHeader, cancellation: Cancellation
  ) throws -> (backup: Backup, failures: [StoreID: ErrorReport]) {
    if let invalidPath { throw RepositoryError.entryInvalid(invalidPath) }
    var header = header
    header.fileCount = UInt64(table.count)
    header.totalBytes = ByteCount(totalBytes)
    header.newBytes = ByteCount(totalBytes)
    header.pagesRead = pages
    header.pagesChanged = pages
    header.storedBytes = ByteCount(sender.storedBytes)
    var failures = sender.failures
    let holding = repository.stores.filter { failures[$0.id] == nil }
    let manifest = ManifestWriter(repository: repository, lineage: lineage)
    let objects = try manifest.write(
      header, packs: packs.livePacks + lock.withLock { _ in metadata.livePacks }, files: table)
    var published: [StoreID] = []
    var lastError: (any Error)?
    for store in holding {
      do {
        try publish(objects, of: header.id, in: store, cancellation: cancellation)
        published.append(store.id)
      } catch {
        failures[store.id] = ErrorReport(error)
        lastError = error
      }
    }
    // One store that has it makes it a backup, also where a cancellation came in between: who throws here takes the
    // packs away.
    if published.isEmpty { throw lastError ?? CancellationError() }
    let missing = repository.stores.map(\.id).filter { !published.contains($0) }
    return (header.backup(stores: published, missingStores: missing), failures)
  }

  /// Puts the objects of a manifest into one store; what was put is taken back where that fails.
  private func publish(
    _ objects: [(ObjectName, SealedBuffer)], of id: BackupID, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    var put: [ObjectName] = []
    do {
      for (name, buffer) in objects {
        put.append(name)
        try StoreWriter.put(name, buffer.bytes, in: store, cancellation: cancellation)
      }
      // Read again what the backup hangs on: a store that lies about this object lies about the backup.
      _ = try BackupCatalog.readHeader(of: id, lineage, in: store, keys: repository.keys)
    } catch {
      // Somebody else's object of that name stays.
      if case StorageError.alreadyExists = error { put.removeLast() }
      do {
        // The root first: a manifest without its parts or packs must never be seen.
        for name in put.reversed() { try store.objects.delete(name) }
      } catch {
        sender.keepWritten(in: store.id)
      }
      throw error
    }
  }
}
