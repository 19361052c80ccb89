internal import BackupModel
internal import BlockingWork
internal import Cryptography
internal import Storage
import Synchronization

/// One backup in one store.
final class VerifyWalk: Sendable {
  private let repository: Repository
  private let store: RepositoryStore
  let lineage: Lineage
  private let backup: BackupID
  private let depth: VerifyDepth
  private let workers: Int
  let cancellation: Cancellation
  /// Bytes read in the stores before, for progress.
  private let done: Int64
  private let observe: @Sendable (RunProgress) -> Void
  private let findings = Mutex(VerifyFindings())
  private let files = Atomic<Int>(0)

  /// - Parameter repository: With one store.
  init(
    repository: Repository, lineage: Lineage, backup: BackupID, depth: VerifyDepth, workers: Int,
    cancellation: Cancellation, done: Int64, observe: @escaping @Sendable (RunProgress) -> Void
  ) {
    self.repository = repository
    store = repository.stores[0]
    self.lineage = lineage
    self.backup = backup
    self.depth = depth
    self.workers = max(1, workers)
    self.cancellation = cancellation
    self.done = done
    self.observe = observe
  }

  func run() throws -> (files: Int, findings: VerifyFindings) {
    let manifest = lineage.manifest(backup).text
    try looking(at: manifest) {
      let reader = try BackupReader(repository, lineage, backup)
      switch depth {
      case .presence: try checkPresence(reader)
      case .full where reader.header.kind == .logical: try readDump(reader)
      case .full: try readAll(total: Int64(reader.header.totalBytes.value))
      }
      if reader.header.kind == .physical { try checkWAL(reader.header) }
    }
    return (files.load(ordering: .relaxed), findings.withLock { $0 })
  }

  /// Runs code that uses an object; what it throws is a finding, unless it says nothing about the object.
  func looking(at object: String, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error {
      // An error that names another object is about that one.
      let named = (error as? RepositoryError)?.object ?? (error as? StorageError)?.object
      guard findings.withLock({ $0.note(error, object: named ?? object, store: store.id) }) else { throw error }
    }
  }

  // MARK: Presence

  private func checkPresence(_ reader: BackupReader) throws {
    var ends: [PackID: UInt64] = [:]
    var metadata: Set<PackID> = []
    for pack in try reader.livePacks() where pack.kind == .pack {
      ends[pack.pack] = UInt64(pack.size) - min(UInt64(pack.size), UInt64(SealedFormat.footerSize))
    }
    try reader.forEachFile { file in
      try cancellation.check()
      files.add(1, ordering: .relaxed)
      if let reference = file.pageMap { metadata.insert(reference.metadataPack) }
      try looking(at: lineage.manifest(backup).text) {
        let (packs, frames) = try placesOfFrames(file, reader)
        for frame in frames {
          let end = UInt64(frame.location.offset) + UInt64(frame.location.sealedLength)
          ends[packs[Int(frame.pack)], default: 0] = max(ends[packs[Int(frame.pack)]] ?? 0, end)
        }
      }
    }
    // One list says of a thousand packs what would take as many questions.
    let listing = try store.objects.list(below: lineage.packsPrefix)
    let listed = Dictionary(listing.objects.map { ($0.name, $0.size) }) { $1 }
    for (pack, end) in ends.sorted(by: { $0.key < $1.key }) {
      try cancellation.check()
      let name = lineage.pack(pack)
      try looking(at: name.text) {
        // Asked for by itself before it is said to be missing: a list may lag.
        guard let size = try listed[name] ?? store.objects.size(of: name) else {
          throw StorageError.missing(name, in: store.objects.location)
        }
        guard size >= Int64(clamping: end) + Int64(SealedFormat.footerSize) else {
          throw StorageError.truncated(
            name, in: store.objects.location, expected: Int64(clamping: end) + Int64(SealedFormat.footerSize),
            found: size)
        }
      }
    }
    findings.withLock { $0.objects += 1 + ends.count + metadata.count }
  }

  private func placesOfFrames(
    _ file: ManifestFile, _ reader: BackupReader
  ) throws -> (packs: [PackID], frames: [PageMap.Frame]) {
    if file.kind == .streamPart {
      let map = try reader.pieceMap(of: file)
      return (map.packs, map.frames)
    }
    let map = try reader.pageMap(of: file)
    return (map.packs, map.frames)
  }

  func count(file: ManifestFile) { files.add(1, ordering: .relaxed) }
  func count(objects: Int) { findings.withLock { $0.objects += objects } }
  func progress(_ read: Int64, total: Int64) {
    let bytes = findings.withLock { findings in
      findings.bytes += read
      return done + findings.bytes
    }
    observe(RunProgress(phase: "verify", doneBytes: ByteCount(bytes), totalBytes: ByteCount(max(total, bytes))))
  }

  // MARK: Full

  private func readAll(total: Int64) throws {
    let tasks = BoundedRing<PackTask>(capacity: 2 * workers)
    let handler = cancellation.addHandler { tasks.abort() }
    defer { cancellation.removeHandler(handler) }
    var threads: [@Sendable () throws -> Void] = [
      {
        try self.handOut(tasks)
        tasks.close()
      }
    ]
    for _ in 0..<workers { threads.append { try self.read(tasks, total: total) } }
    try runTogether(cancellation, label: "verify", threads)
  }

  private func handOut(_ tasks: BoundedRing<PackTask>) throws {
    let reader = try BackupReader(repository, lineage, backup)
    var packs = Set(try reader.livePacks().filter { $0.kind == .pack }.map(\.pack))
    var metadata: Set<PackID> = []
    var batch = PackBatch()
    func drain() throws {
      try batch.drain { task in
        packs.insert(task.pack)
        try tasks.push(task)
      }
    }
    try reader.forEachFile { entry in
      try cancellation.check()
      files.add(1, ordering: .relaxed)
      guard let reference = entry.pageMap else { return }
      metadata.insert(reference.metadataPack)
      var map: PageMap?
      try looking(at: lineage.manifest(backup).text) { map = try reader.pageMap(of: entry) }
      guard let map else { return }
      let file = FileAssembly(path: entry.path, entry: entry)
      var next = 0
      while next < map.runs.count {
        next = batch.add(file, map, from: next)
        if batch.isFull { try drain() }
      }
    }
    try drain()
    findings.withLock { $0.objects += 1 + packs.count + metadata.count }
  }

  private func read(_ tasks: BoundedRing<PackTask>, total: Int64) throws {
    let check = try FrameCheck(repository, lineage)
    while let task = try tasks.pop() {
      let name = lineage.pack(task.pack).text
      for index in task.frames.indices {
        try cancellation.check()
        if findings.withLock({ $0.isFrozen(name) }) { continue }
        try looking(at: name) {
          try check.read(task.pack, task.frames[index]) { bytes in
            for part in task.parts[index] { take(part, bytes) }
          }
        }
      }
      let bytes = done + findings.withLock { $0.bytes }
      observe(RunProgress(phase: "verify", doneBytes: ByteCount(bytes), totalBytes: ByteCount(max(total, bytes))))
    }
  }

  private func take(_ part: PackTask.Part, _ frame: UnsafeRawBufferPointer) {
    let bytes = part.bytes(in: frame)
    let progress = part.file.add(
      firstPage: part.firstPage, count: part.count, length: bytes.count, crc: FileChecksum.piece(bytes))
    findings.withLock { findings in
      findings.bytes += Int64(bytes.count)
      guard progress == .differs else { return }
      let reason = "The content of \"\(part.file.entry.path)\" does not have the checksum it records."
      findings.add(.init(object: lineage.manifest(backup).text, store: store.id, reason: reason))
    }
  }

  // MARK: WAL

  /// WAL from the backup's start to its end: without it the backup cannot be made consistent.
  private func checkWAL(_ header: ManifestHeader) throws {
    let size = try WALSegmentSize(bytes: header.walSegmentBytes)
    let catalog = try WALCatalog(repository, lineage, segmentSize: size)
    let reached = catalog.coverage(from: WALPosition(timeline: header.timeline, lsn: header.startLSN))
    var segment = WALSegment(timeline: header.timeline, holding: header.startLSN, size: size)
    if reached < header.stopLSN {
      let name = lineage.walSegment(WALSegment(timeline: header.timeline, holding: reached, size: size), size: size)
      let reason = "WAL is missing from \(reached); the backup needs it up to \(header.stopLSN)."
      findings.withLock { $0.add(.init(object: name.text, store: store.id, reason: reason)) }
    }
    while segment.start(size: size) < header.stopLSN {
      try cancellation.check()
      guard catalog.piece(segment) != nil else { break }
      findings.withLock { $0.objects += 1 }
      if depth == .full {
        try looking(at: lineage.walSegment(segment, size: size).text) {
          let bytes = try catalog.readSegment(segment)?.count ?? 0
          if let piece = catalog.piece(segment) { _ = try catalog.readIndex(piece) }
          findings.withLock { $0.bytes += Int64(bytes) }
        }
      }
      segment = segment.next
    }
  }
}

/// Opens frames and compares each page with the fingerprint in its pack's table. One per thread.
private final class FrameCheck {
  private let repository: Repository
  private let lineage: Lineage
  private let fingerprinter: PageFingerprinter
  private var open: (pack: PackID, reader: SealedObjectReader)?
  private let buffer = UnsafeMutableRawBufferPointer.allocate(
    byteCount: SealedFormat.maximumFrame, alignment: 4096)

  init(_ repository: Repository, _ lineage: Lineage) throws {
    self.repository = repository
    self.lineage = lineage
    fingerprinter = try repository.keys.current.makeFingerprinter()
  }
  deinit { buffer.deallocate() }

  func read(_ pack: PackID, _ location: FrameLocation, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let name = lineage.pack(pack)
    if open?.pack != pack {
      open = nil
      open = (pack, try SealedObjectReader(.pack, name, in: repository.stores[0], keys: repository.keys))
    }
    let reader = open!.reader
    guard Int(location.number) < reader.frames.count,
      case let frame = reader.frames[Int(location.number)], frame.location == location, frame.role == .pages
    else {
      throw RepositoryError.damaged(
        name, in: reader.store, reason: "A page map and its table disagree on frame \(location.number).")
    }
    let plain = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(location.plainLength)])
    try reader.read(frame, into: plain)
    let slots = plain.count / SealedFormat.slotSize
    var found = [Fingerprint](repeating: Fingerprint(low: 0, high: 0), count: slots)
    try found.withUnsafeMutableBufferPointer { try fingerprinter.fingerprint(UnsafeRawBufferPointer(plain), into: $0) }
    guard slots * SealedFormat.slotSize == plain.count, reader.fingerprints(of: frame).elementsEqual(found) else {
      throw RepositoryError.damaged(
        name, in: reader.store, reason: "Pages of its frame \(location.number) do not have the fingerprints it records."
      )
    }
    try body(UnsafeRawBufferPointer(plain))
  }
}

extension RepositoryError {
  /// The object an error is about.
  var object: String? {
    switch self {
    case .damaged(let name, _, _), .keyMissing(let name, _, _), .unavailable(let name, _): name.text
    case .formatUnknown(let name, _, _, _): name
    default: nil
    }
  }
}

extension StorageError {
  var object: String? {
    switch self {
    case .missing(let name, _), .alreadyExists(let name, _), .truncated(let name, _, _, _), .frozen(let name, _):
      name.text
    case .failed(_, let name, _, _, _), .deletionRefused(let name, _, _): name?.text
    case .pastUnknown, .cannotLock: nil
    }
  }
}
