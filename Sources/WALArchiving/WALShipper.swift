internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Repository
internal import Storage

#if canImport(Glibc)
  import Glibc
#endif

/// Carries landed WAL into the stores: seals, puts, and removes from the landing directory what every store holds.
///
/// Everything here may be done again after a crash: names are written once, and a name that is taken is opened and
/// compared with what lies here.
final class WALShipper: Sendable {
  private let repository: Repository
  private let lineage: Lineage
  private let size: WALSegmentSize
  private let systemIdentifier: SystemIdentifier
  private let landing: LandingDirectory
  private let queue: ShippingQueue
  private let observe: @Sendable (WALEvent) -> Void

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

  /// The work of one lane: ends by cancellation only.
  func run(_ cancellation: Cancellation) throws {
    let queue = queue
    let handler = cancellation.addHandler { queue.changed.raise() }
    defer { cancellation.removeHandler(handler) }
    let buffer = SealedBuffer(capacity: 1 << 20)
    while true {
      try cancellation.check()
      let before = queue.changed.value
      let (work, wait) = queue.next()
      if let (item, stores) = work {
        try ship(item, to: stores, buffer, cancellation)
      } else {
        queue.changed.wait(after: before, for: wait)
      }
    }
  }

  private func ship(
    _ item: ShippingQueue.Item, to stores: [StoreID], _ buffer: SealedBuffer, _ cancellation: Cancellation
  ) throws {
    defer { if queue.release(item.shipment) { finish(item.shipment, cancellation) } }
    let load = ShipmentBytes(item, buffer)
    for store in repository.stores where stores.contains(store.id) {
      do {
        try put(item.shipment, load, in: store, cancellation)
        if queue.succeeded(item.shipment, in: store.id) { observe(.storeRecovered(store.id)) }
      } catch let error as CancellationError {
        throw error
      } catch {
        try cancellation.check()
        let attempts = queue.failed(item.shipment, in: store.id, error)
        observe(.storeFailed(store.id, ErrorReport(error), attempts: attempts))
      }
    }
  }

  private func put(
    _ shipment: Shipment, _ load: ShipmentBytes, in store: RepositoryStore, _ cancellation: Cancellation
  ) throws {
    if case .gap(let gap) = shipment {
      return try repository.putGap(gap, of: lineage, in: store, cancellation: cancellation)
    }
    let (kind, name) = object(shipment)
    if load.sealed == nil {
      try load.plain = plainBytes(shipment)
      if try store.objects.size(of: name) != nil { return try compare(kind, name, load, in: store) }
      try seal(shipment, kind, name, load)
    }
    do {
      try repository.putSealed(name, load.buffer, in: store, cancellation: cancellation)
    } catch StorageError.alreadyExists {
      try compare(kind, name, load, in: store)
    }
  }

  private func object(_ shipment: Shipment) -> (ObjectKind, ObjectName) {
    switch shipment {
    case .history(let timeline): (.timelineHistory, lineage.history(timeline))
    case .segment(let segment): (.walSegment, lineage.walSegment(segment, size: size))
    case .slice(let segment, let first, let end):
      (.walSlice, lineage.walSlice(segment, from: first, to: end, size: size))
    case .gap(let gap): preconditionFailure("a gap is not sealed: \(gap.id)")
    }
  }

  private func plainBytes(_ shipment: Shipment) throws -> [UInt8] {
    switch shipment {
    case .history(let timeline): return try DurableFile.read(landing.historyPath(timeline), limit: 1 << 20)
    case .segment(let segment): return try read(landing.landedPath(segment, size), 0..<Int(size.bytes))
    case .slice(let segment, let first, let end):
      let start = segment.start(size: size)
      let range = Int(first - start)..<Int(end - start)
      // The segment may be completed or set aside meanwhile: the same bytes under another name.
      let places = [landing.openPath, landing.landedPath, landing.tailPath].map { $0(segment, size) }
      for place in places.dropLast() {
        do { return try read(place, range) } catch let error as FileError where error.isMissing { continue }
      }
      return try read(places[2], range)
    case .gap: return []
    }
  }

  private func read(_ path: String, _ range: Range<Int>) throws -> [UInt8] {
    let file = try Descriptor(opening: path, O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: range.count)
    let count = try bytes.withUnsafeMutableBytes { try file.readAll(into: $0, at: Int64(range.lowerBound)) }
    guard count == range.count else {
      throw WALArchivingError.landingUnreadable(path, reason: "It ends before byte \(range.upperBound).")
    }
    return bytes
  }

  /// Seals once: a store that gets the object later gets the bytes the others have.
  private func seal(_ shipment: Shipment, _ kind: ObjectKind, _ name: ObjectName, _ load: ShipmentBytes) throws {
    if try takeSealed(kind, name, load) { return }
    var index = load.index
    if case .segment(let segment) = shipment { index = try segmentIndex(segment, load.plain) }
    if case .slice(_, let first, let end) = shipment, index == nil { index = try sliceIndex(shipment, first, end) }
    try load.plain.withUnsafeBytes {
      try repository.sealWAL(kind, name, bytes: $0, index: index, into: load.buffer)
    }
    load.sealed = ()
  }

  /// Takes an object that another store holds.
  private func takeSealed(_ kind: ObjectKind, _ name: ObjectName, _ load: ShipmentBytes) throws -> Bool {
    for other in repository.stores {
      do {
        guard try other.objects.size(of: name) != nil else { continue }
        try compare(kind, name, load, in: other)
        try load.buffer.fill(with: other.objects.readAll(name, limit: 2 << 30))
        load.sealed = ()
        return true
      } catch is StorageError {
        // It is asked for its own sake elsewhere; here another answer will do.
        continue
      }
    }
    return false
  }

  private func compare(
    _ kind: ObjectKind, _ name: ObjectName, _ load: ShipmentBytes, in store: RepositoryStore
  ) throws {
    let reader = try SealedObjectReader(kind, name, in: store, keys: repository.keys)
    guard try reader.readStream() == load.plain else {
      throw WALArchivingError.contentDiffers(name.text, store: store.id)
    }
  }

  /// The index that the receiver left beside the segment; made again where it is gone.
  private func segmentIndex(_ segment: WALSegment, _ bytes: [UInt8]) throws -> WALIndex {
    if let index = try landing.index(of: segment, size) { return index }
    return try decode(segment, bytes)
  }

  private func sliceIndex(_ shipment: Shipment, _ first: LSN, _ end: LSN) throws -> WALIndex {
    guard case .slice(let segment, _, _) = shipment else { preconditionFailure("not a slice") }
    let whole = try plainBytes(.slice(segment, first: segment.start(size: size), end: end))
    return try decode(segment, whole).part(from: first, to: end)
  }

  private func decode(_ segment: WALSegment, _ bytes: [UInt8]) throws -> WALIndex {
    var decoder = WALRecordDecoder(
      from: WALPosition(timeline: segment.timeline, lsn: segment.start(size: size)), segmentSize: size,
      systemIdentifier: systemIdentifier)
    try decoder.feed(bytes)
    return decoder.takeIndex()
  }

  /// Every store holds it: the landing directory need not.
  private func finish(_ shipment: Shipment, _ cancellation: Cancellation) {
    do {
      switch shipment {
      case .segment(let segment):
        try landing.removeLanded(segment, size)
        observe(.stored(segment))
      case .slice(let segment, _, _):
        if !queue.hasSlices(of: segment) { try DurableFile.remove(landing.tailPath(segment, size)) }
      case .history(let timeline): try DurableFile.remove(landing.historyPath(timeline))
      case .gap(let gap): try DurableFile.remove(landing.gapPath(gap.id))
      }
    } catch {
      // The next start finds it again, finds it stored, and removes it.
      observe(.landingNotCleaned(ErrorReport(error)))
    }
  }
}

/// One shipment's bytes while a lane works on it.
private final class ShipmentBytes {
  let index: WALIndex?
  let buffer: SealedBuffer
  var plain: [UInt8] = []
  /// Set once `buffer` holds the sealed object.
  var sealed: Void?

  init(_ item: ShippingQueue.Item, _ buffer: SealedBuffer) {
    index = item.index
    self.buffer = buffer
  }
}
