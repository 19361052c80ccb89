internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Repository
internal import Storage
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Carries landed WAL into the stores: seals, puts, and removes from the landing directory what every store holds.
///
/// Each store has lanes of its own, so that one that hangs holds up nobody else. Everything here may be done again
/// after a crash: names are written once, and a name that is taken is opened and compared with what lies here.
final class WALShipper: Sendable {
  private let repository: Repository
  private let lineage: Lineage
  private let size: WALSegmentSize
  private let systemIdentifier: SystemIdentifier
  private let landing: LandingDirectory
  private let queue: ShippingQueue
  private let observe: @Sendable (WALEvent) -> Void
  private let shared = Mutex(SharedBytes())

  init(
    repository: Repository, lineage: Lineage, size: WALSegmentSize, landing: LandingDirectory, queue: ShippingQueue,
    observe: @escaping @Sendable (WALEvent) -> Void
  ) {
    self.repository = repository
    self.lineage = lineage
    self.size = size
    systemIdentifier = lineage.systemIdentifier
    self.landing = landing
    self.queue = queue
    self.observe = observe
  }

  /// What a sealed segment takes at most, as a rule: pages that nothing is written to take no memory.
  private var sealedSize: Int { Int(size.bytes / 2) }

  /// The work of one lane of a store: ends by cancellation only.
  func run(_ store: RepositoryStore, _ cancellation: Cancellation) throws {
    let queue = queue
    let handler = cancellation.addHandler { queue.changed.raise() }
    defer { cancellation.removeHandler(handler) }
    while true {
      try cancellation.check()
      let before = queue.changed.value
      let (item, wait) = queue.next(for: store.id)
      if let item {
        try ship(item, to: store, cancellation)
      } else {
        queue.changed.wait(after: before, for: wait)
      }
    }
  }

  private func ship(_ item: ShippingQueue.Item, to store: RepositoryStore, _ cancellation: Cancellation) throws {
    let shipment = item.shipment
    defer { if queue.release(shipment, from: store.id) { finish(shipment) } }
    let bytes = shared.withLock { shared in
      shared.join(shipment) { ShipmentBytes(index: item.index) { try self.landedBytes(shipment) } }
    }
    defer { shared.withLock { $0.leave(shipment) } }
    do {
      try put(shipment, bytes, in: store, cancellation)
      let isNews = queue.succeeded(shipment, in: store.id)
      tell(shipment, in: store.id)
      if isNews { observe(.storeRecovered(store.id)) }
    } catch let error as CancellationError {
      throw error
    } catch {
      try cancellation.check()
      let attempts = queue.failed(shipment, in: store.id, error)
      if attempts > 0 { observe(.storeFailed(store.id, ErrorReport(error), attempts: attempts)) }
    }
  }

  /// Says what a store holds now that it did not hold before.
  private func tell(_ shipment: Shipment, in store: StoreID) {
    switch shipment {
    case .segment(let segment): observe(.segmentTaken(segment, by: store))
    case .slice(let segment, _, _): observe(.sliceTaken(segment, by: store))
    case .history, .gap, .clock: break
    }
  }

  /// Puts what lies outside the landing directory into every store.
  func put(_ shipment: Shipment, readingFrom path: String, _ cancellation: Cancellation) throws {
    let bytes = ShipmentBytes { try self.bytes(of: shipment, at: path) }
    for store in repository.required {
      try put(shipment, bytes, in: store, cancellation)
      tell(shipment, in: store.id)
    }
  }

  /// Whether every store holds a shipment already; one that does not answer, or holds it damaged, counts as lacking it.
  /// - Throws: ``WALArchivingError/contentDiffers(_:store:)`` where what a store holds is not what lies at `path`.
  func isStored(_ shipment: Shipment, readingFrom path: String) throws -> Bool {
    let (kind, name) = object(shipment)
    let bytes = ShipmentBytes { try self.bytes(of: shipment, at: path) }
    var isEverywhere = true
    for store in repository.required {
      do {
        // One that hangs is waited for by its own lanes alone.
        guard queue.isWell(store.id), try store.objects.size(of: name) != nil else {
          isEverywhere = false
          continue
        }
        let reader = try SealedObjectReader(kind, name, in: store, keys: repository.keys)
        try compare(reader, bytes.plain())
      } catch let error where error is StorageError || error is RepositoryError {
        isEverywhere = false
      }
    }
    return isEverywhere
  }

  private func bytes(of shipment: Shipment, at path: String) throws -> LandedBytes {
    switch shipment {
    case .segment: try LandedBytes([path], 0..<Int64(size.bytes))
    case .slice(_, let first, let end): try LandedBytes([path], 0..<Int64(end - first))
    case .history, .gap, .clock: try LandedBytes([path])
    }
  }

  private func put(
    _ shipment: Shipment, _ bytes: ShipmentBytes, in store: RepositoryStore, _ cancellation: Cancellation
  ) throws {
    if case .gap(let gap) = shipment {
      return try repository.putGap(gap, of: lineage, in: store, cancellation: cancellation)
    }
    if case .clock(let segment, let clock) = shipment {
      let name = clock.objectName(lineage, segment, size: size)
      return try repository.putClock(clock, name, in: store, cancellation: cancellation)
    }
    let (kind, name) = object(shipment)
    let plain: LandedBytes
    do {
      plain = try bytes.plain()
    } catch let error as FileError where error.isMissing {
      // Pushed and streamed at once, it was stored, compared and removed under the other of the two.
      if try store.objects.size(of: name) != nil { return }
      throw error
    }
    // Another store's lane has found it worth sealing: this one takes it, or says that it has it.
    if !bytes.isSealed, try store.objects.size(of: name) != nil { return try requireSame(kind, name, plain, in: store) }
    let sealed = try bytes.sealed { try seal(shipment, kind, name, plain, bytes.index, for: store.id) }
    do {
      try repository.putSealed(name, sealed, in: store, cancellation: cancellation)
    } catch StorageError.alreadyExists {
      try requireSame(kind, name, plain, in: store)
    }
  }

  private func object(_ shipment: Shipment) -> (ObjectKind, ObjectName) {
    switch shipment {
    case .history(let timeline): (.timelineHistory, lineage.history(timeline))
    case .segment(let segment): (.walSegment, lineage.walSegment(segment, size: size))
    case .slice(let segment, let first, let end):
      (.walSlice, lineage.walSlice(segment, from: first, to: end, size: size))
    case .gap, .clock: preconditionFailure("a document is not sealed")
    }
  }

  private func landedBytes(_ shipment: Shipment) throws -> LandedBytes {
    switch shipment {
    case .history(let timeline): return try LandedBytes([landing.historyPath(timeline)])
    case .segment(let segment): return try LandedBytes([landing.landedPath(segment, size)], 0..<Int64(size.bytes))
    case .slice(let segment, let first, let end):
      let start = segment.start(size: size)
      // The segment may be completed or set aside meanwhile: the same bytes under another name.
      return try LandedBytes(
        [landing.openPath, landing.landedPath, landing.tailPath].map { $0(segment, size) },
        Int64(first - start)..<Int64(end - start))
    case .gap, .clock: preconditionFailure("a document is not sealed")
    }
  }

  /// Seals, or takes what another store holds: a store that gets the object later gets the bytes the others have.
  private func seal(
    _ shipment: Shipment, _ kind: ObjectKind, _ name: ObjectName, _ plain: LandedBytes, _ known: WALIndex?,
    for store: StoreID
  ) throws -> SealedBuffer {
    let buffer = SealedBuffer(capacity: sealedSize)
    if try take(kind, name, plain, from: queue.holders(of: shipment, besides: store), into: buffer) { return buffer }
    let known = try known ?? makeIndex(shipment)
    if known == nil, case .segment(let segment) = shipment {
      // Read once: what is sealed is what is decoded.
      let index = SegmentIndex(segment, size, systemIdentifier)
      try repository.sealWAL(kind, name, index: index.take(), into: buffer) { append in
        try plain.forEachPiece {
          try index.feed($0)
          try append($0)
        }
      }
    } else {
      try repository.sealWAL(kind, name, index: known, into: buffer) { try plain.forEachPiece($0) }
    }
    return buffer
  }

  /// - Parameter holders: Stores that are asked for it, once each.
  private func take(
    _ kind: ObjectKind, _ name: ObjectName, _ plain: LandedBytes, from holders: [StoreID], into buffer: SealedBuffer
  ) throws -> Bool {
    for other in repository.required where holders.contains(other.id) {
      do {
        // Read first: what is compared is what is put.
        let held = try other.objects.once.readAll(name, limit: 2 << 30)
        try compare(SealedObjectReader(kind, name, bytes: held, from: other.id, keys: repository.keys), plain)
        buffer.fill(with: held)
        return true
      } catch let error as CancellationError {
        throw error
      } catch {
        // Its own lane tells what is wrong with it; here it is as good as not there.
        continue
      }
    }
    return false
  }

  /// For a name that is taken: nothing is ever overwritten.
  /// - Throws: ``WALArchivingError`` for what needs a person.
  private func requireSame(
    _ kind: ObjectKind, _ name: ObjectName, _ plain: LandedBytes, in store: RepositoryStore
  ) throws {
    do {
      try compare(SealedObjectReader(kind, name, in: store, keys: repository.keys), plain)
    } catch let error as RepositoryError {
      throw WALArchivingError.objectUnusable(name.text, store: store.id, cause: ErrorReport(error))
    }
  }

  private func compare(_ reader: SealedObjectReader, _ plain: LandedBytes) throws {
    let differs = WALArchivingError.contentDiffers(reader.name.text, store: reader.store)
    var offset = 0
    var held = [UInt8](repeating: 0, count: 256 << 10)
    try reader.forEachStreamFrame { frame in
      guard frame.count <= min(held.count, plain.count - offset) else { throw differs }
      try held.withUnsafeMutableBytes { buffer in
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<frame.count])
        try plain.read(at: offset, into: part)
        guard frame.withUnsafeBytes({ memcmp($0.baseAddress!, part.baseAddress!, part.count) == 0 }) else {
          throw differs
        }
      }
      offset += frame.count
    }
    guard offset == plain.count else { throw differs }
    // Its index: an object that is damaged anywhere is of no use to a restore.
    for frame in reader.frames where frame.role != .stream { _ = try reader.read(frame) }
  }

  /// The index that was left beside a segment, and that of slices of earlier runs.
  private func makeIndex(_ shipment: Shipment) throws -> WALIndex? {
    switch shipment {
    case .slice(let segment, let first, let end):
      let whole = Shipment.slice(segment, first: segment.start(size: size), end: end)
      let index = SegmentIndex(segment, size, systemIdentifier)
      try landedBytes(whole).forEachPiece { try index.feed($0) }
      return index.take().part(from: first, to: end)
    case .segment(let segment): return try landing.index(of: segment, size)
    case .history, .gap, .clock: return nil
    }
  }

  /// Every store holds it: the landing directory need not.
  private func finish(_ shipment: Shipment) {
    do {
      switch shipment {
      case .segment(let segment):
        try landing.removeLanded(segment, size)
        observe(.stored(segment))
      case .slice(let segment, _, _):
        if !queue.hasSlices(of: segment) { try DurableFile.remove(landing.tailPath(segment, size)) }
      case .history(let timeline): try DurableFile.remove(landing.historyPath(timeline))
      case .gap(let gap): try DurableFile.remove(landing.gapPath(gap.id))
      case .clock: break
      }
    } catch {
      // The next start finds it again, finds it stored, and removes it.
      observe(.landingNotCleaned(ErrorReport(error)))
    }
  }
}
