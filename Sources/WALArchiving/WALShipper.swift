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

  /// What a sealed segment takes at most, as a rule: pages that nothing is written to take no memory.
  private var sealedSize: Int { Int(size.bytes / 2) }

  /// The work of one lane: ends by cancellation only.
  func run(_ cancellation: Cancellation) throws {
    let queue = queue
    let handler = cancellation.addHandler { queue.changed.raise() }
    defer { cancellation.removeHandler(handler) }
    while true {
      try cancellation.check()
      let before = queue.changed.value
      let (work, wait) = queue.next()
      if let (item, stores) = work {
        // Its own each time: a lane that waits has no use for it.
        try ship(item, to: stores, SealedBuffer(capacity: sealedSize), cancellation)
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
    for store in repository.required where stores.contains(store.id) {
      do {
        try put(item.shipment, load, in: store, cancellation)
        if queue.succeeded(item.shipment, in: store.id) { observe(.storeRecovered(store.id)) }
      } catch let error as CancellationError {
        throw error
      } catch {
        try cancellation.check()
        let attempts = queue.failed(item.shipment, in: store.id, error)
        if attempts > 0 { observe(.storeFailed(store.id, ErrorReport(error), attempts: attempts)) }
      }
    }
  }

  /// Puts what lies outside the landing directory into every store.
  func put(_ shipment: Shipment, readingFrom path: String, _ cancellation: Cancellation) throws {
    let item = ShippingQueue.Item(shipment: shipment, index: nil, pending: [])
    let load = ShipmentBytes(item, SealedBuffer(capacity: sealedSize))
    load.plain = try bytes(of: shipment, at: path)
    for store in repository.required { try put(shipment, load, in: store, cancellation) }
  }

  /// Whether every store holds a shipment already; one that does not answer counts as lacking it.
  /// - Throws: ``WALArchivingError/contentDiffers(_:store:)`` where what a store holds is not what lies at `path`.
  func isStored(_ shipment: Shipment, readingFrom path: String) throws -> Bool {
    let (kind, name) = object(shipment)
    let load = ShipmentBytes(
      ShippingQueue.Item(shipment: shipment, index: nil, pending: []), SealedBuffer(capacity: sealedSize))
    var isEverywhere = true
    for store in repository.required {
      do {
        guard try store.objects.size(of: name) != nil else {
          isEverywhere = false
          continue
        }
        if load.plain == nil { load.plain = try bytes(of: shipment, at: path) }
        try compare(kind, name, load, in: store)
      } catch is StorageError {
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
    _ shipment: Shipment, _ load: ShipmentBytes, in store: RepositoryStore, _ cancellation: Cancellation
  ) throws {
    if case .gap(let gap) = shipment {
      return try repository.putGap(gap, of: lineage, in: store, cancellation: cancellation)
    }
    if case .clock(let segment, let clock) = shipment {
      let name = clock.objectName(lineage, segment, size: size)
      return try repository.putClock(clock, name, in: store, cancellation: cancellation)
    }
    let (kind, name) = object(shipment)
    if load.sealed == nil {
      do {
        if load.plain == nil { load.plain = try landedBytes(shipment) }
      } catch let error as FileError where error.isMissing {
        // Pushed and streamed at once, it was stored, compared and removed under the other of the two.
        if try store.objects.size(of: name) != nil { return }
        throw error
      }
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

  /// Seals once: a store that gets the object later gets the bytes the others have.
  private func seal(_ shipment: Shipment, _ kind: ObjectKind, _ name: ObjectName, _ load: ShipmentBytes) throws {
    if try takeSealed(kind, name, load) { return }
    let plain = try load.plain ?? landedBytes(shipment)
    let known = try load.index ?? makeIndex(shipment)
    if known == nil, case .segment(let segment) = shipment {
      // Read once: what is sealed is what is decoded.
      let index = SegmentIndex(segment, size, systemIdentifier)
      try repository.sealWAL(kind, name, index: index.take(), into: load.buffer) { append in
        try plain.forEachPiece {
          try index.feed($0)
          try append($0)
        }
      }
    } else {
      try repository.sealWAL(kind, name, index: known, into: load.buffer) { try plain.forEachPiece($0) }
    }
    load.sealed = ()
  }

  /// Takes an object that another store holds.
  private func takeSealed(_ kind: ObjectKind, _ name: ObjectName, _ load: ShipmentBytes) throws -> Bool {
    for other in repository.required {
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
    guard let plain = load.plain else { return }
    let differs = WALArchivingError.contentDiffers(name.text, store: store.id)
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
      case .clock: break
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
  var plain: LandedBytes?
  /// Set once `buffer` holds the sealed object.
  var sealed: Void?

  init(_ item: ShippingQueue.Item, _ buffer: SealedBuffer) {
    index = item.index
    self.buffer = buffer
  }
}

/// The index of a segment, from its first byte on.
final class SegmentIndex {
  private var decoder: WALRecordDecoder

  init(_ segment: WALSegment, _ size: WALSegmentSize, _ systemIdentifier: SystemIdentifier) {
    decoder = WALRecordDecoder(
      from: WALPosition(timeline: segment.timeline, lsn: segment.start(size: size)), segmentSize: size,
      systemIdentifier: systemIdentifier)
  }

  /// - Throws: ``WALArchivingError/pageInvalid(_:_:)`` for a page that is not the one that belongs there.
  func feed(_ bytes: UnsafeRawBufferPointer) throws { try decoder.feed(bytes) }
  func take() -> WALIndex { decoder.takeIndex() }
}
