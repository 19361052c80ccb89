internal import BackupModel
public import BlockingWork
internal import Cryptography
internal import Storage
import Synchronization

/// Writes the files of one backup: changed pages into frames and packs, page maps into metadata packs, the manifest
/// last.
///
/// A reader calls ``beginFile(_:)``, ``announcePiece(of:)`` and ``endFile(_:_:)``, workers call
/// ``Worker/process(_:check:)``, a thread each runs ``senders``. Until ``commit(_:cancellation:)`` returns
/// there is no backup.
///
/// - Note: `@unchecked Sendable`: file state is touched only while `lock` is held.
public final class BackupWriter: @unchecked Sendable {
  public struct Options: Sendable {
    /// zstd's, 1 to 19.
    public var level: Int
    /// What may be taken over; nil stores every page.
    public var parent: ParentPages?
    /// Where the cache for the next backup goes; nil writes none.
    public var caches: FingerprintCaches?
    public init(level: Int = 1, parent: ParentPages? = nil, caches: FingerprintCaches? = nil) {
      self.level = level
      self.parent = parent
      self.caches = caches
    }
  }

  /// Buffers of 32 MiB between sealing and the stores.
  static let packBuffers = 4

  public let repository: Repository
  public let lineage: Lineage
  let options: Options
  let sender: PackSender
  let packs: PackWriter
  let lock = Mutex(())
  let metadata: MetadataWriter
  /// Counts checkpoints: a worker that sees another number stores the pages it still collects.
  let epoch = Atomic<Int>(0)
  /// Pages stored because they changed, and pages stored anew although they did not.
  let changed = Atomic<Int>(0)
  let rewritten = Atomic<Int>(0)
  var openFiles: [Int: OpenFile] = [:]
  var nextFile = 0
  var table = FileTable()
  var invalidPath: String?
  var totalBytes: UInt64 = 0
  var pages: UInt64 = 0
  var newBytes: UInt64 = 0
  var usage = PackUsage()
  var cache: FingerprintCacheWriter?
  var cacheFailure: ErrorReport?
  var checkpoints: CheckpointState?

  public init(
    repository: Repository, lineage: Lineage, options: Options = Options(), cancellation: Cancellation
  ) throws {
    self.repository = repository
    self.lineage = lineage
    self.options = options
    sender = try PackSender(
      stores: repository.required, unheard: options.parent?.unheard ?? [:], buffers: Self.packBuffers,
      cancellation: cancellation)
    packs = PackWriter(repository: repository, lineage: lineage, sender: sender)
    metadata = try MetadataWriter(repository: repository, lineage: lineage, sender: sender)
    if let caches = options.caches {
      do { cache = try FingerprintCacheWriter(path: caches.next) } catch { cacheFailure = ErrorReport(error) }
    }
  }

  /// A number for a file whose pages follow; its path finds what the parent knows of it.
  public func beginFile(_ path: String) -> Int {
    let parent = options.parent?.file(path)
    return lock.withLock { _ in
      nextFile += 1
      openFiles[nextFile] = OpenFile(path: path, parent: parent)
      return nextFile
    }
  }

  /// Announces a piece of a file: the file is not complete before a worker has processed it.
  public func announcePiece(of number: Int) { announcePieces(of: number, count: 1) }

  public func announcePieces(of number: Int, count: Int) {
    lock.withLock { _ in openFiles[number]!.pendingPieces += count }
  }

  /// A file that vanished before a piece of it was announced.
  public func abandonFile(_ number: Int) {
    lock.withLock { _ in
      precondition(openFiles[number]?.pendingPieces == 0, "pieces of an abandoned file were announced")
      openFiles[number] = nil
    }
  }

  /// A file is complete: all its pieces are announced, its size known, and its checksum where workers do not compute it.
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
      if entry.isReadable { append(entry) } else { invalidPath = entry.path }
    }
  }

  func append(_ entry: ManifestFile) {
    table.append(entry)
    checkpoints?.recent.append(entry)
  }

  /// Closes a file once all its pieces are processed and all its changed pages stored. Called while `lock` is held.
  func finishIfDone(_ number: Int) throws {
    guard let file = openFiles[number], file.pendingPieces == 0, var entry = file.entry else { return }
    if entry.size > 0 { file.writeFingerprints(to: cache, pages: Int(entry.pages)) }
    guard file.pendingPages == 0 else { return }
    openFiles[number] = nil
    if entry.size > 0 {
      if let checksum = file.checksum {
        guard let value = checksum.value(size: entry.size) else { throw RepositoryError.filePagesMissing(entry.path) }
        entry.checksum = value
      }
      entry.pageMap = try storeMap(of: file, pages: entry.pages)
    }
    totalBytes += entry.size
    pages += entry.pages
    append(entry)
  }

  /// Takes over the parent's places for unchanged pages and stores the map, or takes over the map where nothing changed.
  private func storeMap(of file: OpenFile, pages: UInt64) throws -> PageMapReference {
    var map: PageMap
    var reference: PageMapReference?
    if file.assembly.pages == 0, let parent = file.parent,
      let same = try options.parent?.unchangedMap(of: parent), same.covers(pages: pages),
      file.unchanged.count == Int(pages)
    {
      map = same
      if let old = parent.base?.reference, let pack = options.parent?.canKeep(old) {
        reference = old
        usage.add(old, of: pack)
      }
    } else {
      map = try assemble(file)
    }
    guard map.covers(pages: pages) else {
      options.caches?.discard()
      if let caches = options.caches, file.parent != nil {
        throw FingerprintCacheError.inconsistent(caches.current, file: file.path)
      }
      throw RepositoryError.filePagesMissing(file.path)
    }
    usage.add(map)
    let stored = try reference ?? storeMap(map)
    cache?.append(file.cacheEntry(pages: pages, reference: stored, map: map))
    return stored
  }

  func storeMap(_ map: PageMap) throws -> PageMapReference {
    let reference = try metadata.append(map)
    usage.add(reference, of: .init(id: reference.metadataPack, size: 0, frameBytes: 0, live: 0, total: 0))
    return reference
  }

  /// The map of what is stored or taken over so far.
  func assemble(_ file: OpenFile) throws -> PageMap {
    var assembly = file.assembly
    if let parent = file.parent {
      var unchanged = file.unchanged
      try options.parent?.take(&unchanged, of: parent, into: &assembly)
    }
    return assembly.finish()
  }

  /// The work of the threads that carry packs to the stores: each ends after ``finishPages()``.
  public var senders: [@Sendable () throws -> Void] { sender.bodies }

  /// Every frame is stored: seals the last packs and lets the senders end.
  public func finishPages() throws {
    try packs.finish()
    try lock.withLock { _ in
      precondition(openFiles.isEmpty, "\(openFiles.count) files were never ended")
      try metadata.finish()
      takeSizes()
    }
    sender.close()
  }

  /// What is known of packs once they are closed.
  func takeSizes() {
    for pack in usage.packs where pack.size == 0 {
      if let size = packs.size(of: pack.id) ?? options.parent?.size(of: pack.id) { usage.setSize(size, of: pack.id) }
    }
    for pack in metadata.livePacks {
      usage.close(metadata: pack.pack, size: pack.size, frameBytes: pack.liveBytes)
    }
  }

  /// Sorts the entries, so that ``file(_:)`` finds them.
  /// - Returns: A path that is there twice, where there is one.
  public func sortFiles() -> String? { lock.withLock { _ in table.sort() } }

  /// The entry of a path, after ``sortFiles()``.
  public func file(_ path: String) -> ManifestFile? { lock.withLock { _ in table.find(path) } }

  /// Hands out the entries that are complete, in the order of their paths after ``sortFiles()``.
  public func forEachFile(_ body: (ManifestFile) throws -> Void) throws {
    // A copy is cheap: the entries are one array, shared until somebody appends.
    try lock.withLock { _ in table }.forEach(body)
  }

  /// Sealed bytes handed to the stores so far.
  public var storedBytes: Int64 { sender.storedBytes }

  /// Takes back what this run stored and no checkpoint refers to: for a run that failed.
  public func discard() { sender.removeWritten() }
}

extension BackupWriter {
  /// A file between its first piece and its last.
  final class OpenFile {
    let path: String
    let parent: ParentFile?
    /// Pieces announced and not yet processed; changed pages processed and not yet stored.
    var pendingPieces = 0
    var pendingPages = 0
    var entry: ManifestFile?
    var unchanged = PageSet()
    var assembly = PageMap.Assembly()
    /// Where workers compute it.
    var checksum: FileChecksum?
    private var fingerprints: [Fingerprint] = []
    private var place: (offset: UInt64, checksum: UInt32)?

    init(path: String, parent: ParentFile?) {
      self.path = path
      self.parent = parent
    }

    func set(_ found: UnsafeBufferPointer<Fingerprint>, from page: UInt32) {
      let first = Int(page)
      if fingerprints.count < first + found.count {
        let missing = first + found.count - fingerprints.count
        fingerprints.append(contentsOf: repeatElement(Fingerprint(low: 0, high: 0), count: missing))
      }
      for index in found.indices { fingerprints[first + index] = found[index] }
    }

    /// Once all pieces are processed: the file may still wait long for its last pages to be stored, its fingerprints
    /// need not take memory meanwhile.
    func writeFingerprints(to cache: FingerprintCacheWriter?, pages: Int) {
      guard place == nil else { return }
      place = cache?.append(fingerprints.prefix(pages)) ?? (0, 0)
      fingerprints = []
    }

    func cacheEntry(pages: UInt64, reference: PageMapReference, map: PageMap) -> FingerprintCache.Entry {
      var encoded = ByteWriter()
      map.encode(into: &encoded)
      return FingerprintCache.Entry(
        path: path, size: entry?.size ?? 0, fingerprintOffset: place?.offset ?? 0,
        fingerprintChecksum: place?.checksum ?? 0, fingerprintPages: UInt32(pages), reference: reference,
        map: encoded.bytes)
    }
  }
}
