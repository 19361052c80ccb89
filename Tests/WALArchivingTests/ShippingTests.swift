import BackupModel
import BlockingWork
import Dispatch
import DurableFiles
import KeyManagement
import Repository
import Storage
import Synchronization
import TestSupport
import Testing

@testable import WALArchiving

/// Landed WAL on its way to two stores; no server is needed for it.
private final class ShippingSite: Sendable {
  let size = try! WALSegmentSize(bytes: 1 << 20)
  let lineage = Lineage(cluster: ClusterID(unchecked: "oauth"), systemIdentifier: SystemIdentifier(7_000_000_000))
  let first: GatedStore
  let second: GatedStore
  let log: EventLog
  let repository: Repository
  let landing: LandingDirectory
  let queue: ShippingQueue
  let shipper: WALShipper

  init(_ directory: String) throws {
    let stores = (first: GatedStore("first", in: directory), second: GatedStore("second", in: directory))
    let log = EventLog()
    (first, second, self.log) = (stores.first, stores.second, log)
    repository = try Repository.create(
      in: [stores.first, stores.second].map { RepositoryStore(id: $0.id, objects: $0) }, unlocking: .unwrapped,
      cancellation: Cancellation())
    landing = try LandingDirectory(directory + "/landing")
    queue = ShippingQueue(stores: [stores.first.id, stores.second.id], interval: .seconds(3600))
    shipper = WALShipper(
      repository: repository, lineage: lineage, size: size, landing: landing, queue: queue, observe: { log.add($0) })
  }

  func segment(_ number: UInt64) -> WALSegment { WALSegment(timeline: TimelineID(1), number: number) }
  func name(_ number: UInt64) -> ObjectName { lineage.walSegment(segment(number), size: size) }
  func landed(_ number: UInt64) -> String { landing.landedPath(segment(number), size) }
  func durable(_ store: GatedStore) -> LSN? { queue.look { $0.stores[store.id]?.durable } }

  /// Segments 1 to `count`, as the receiver lands them.
  func land(_ count: UInt64) throws {
    for number in 1...count {
      let segment = segment(number)
      let start = segment.start(size: size)
      queue.begin(segment, size: size, sliceEnd: start)
      let index = WALIndex(timeline: segment.timeline, first: start, end: segment.end(size: size))
      try DurableFile.create(landing.indexPath(segment, size), with: index.encoded())
      try DurableFile.create(landed(number), with: [UInt8](repeating: UInt8(number), count: Int(size.bytes)))
      queue.landed(segment)
    }
    let open = segment(count + 1)
    queue.begin(open, size: size, sliceEnd: open.start(size: size))
  }

  /// Ships with two lanes a store for the length of the closure.
  func shipping(_ body: () throws -> Void) throws {
    let cancellation = Cancellation()
    let ended = DispatchGroup()
    for store in repository.required {
      for lane in 0..<2 {
        DispatchQueue(label: "\(store.id).\(lane)").async(group: ended) { [self] in
          do { try shipper.run(store, cancellation) } catch {}
        }
      }
    }
    defer {
      cancellation.cancel()
      ended.wait()
    }
    try body()
  }
}

/// A real store behind a gate: while it is shut, whoever puts something waits, as for a disk that hangs.
private final class GatedStore: ForwardingStore {
  let id: StoreID
  private let store: PosixStore
  var base: any ObjectStore { store }
  private let isShut = Mutex(false)

  init(_ name: String, in directory: String) {
    id = StoreID(unchecked: name)
    store = PosixStore(root: "\(directory)/\(name)", makesRoot: true)
  }

  func shut() { isShut.withLock { $0 = true } }
  func open() { isShut.withLock { $0 = false } }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    while isShut.withLock({ $0 }) { try cancellation.sleep(.milliseconds(2)) }
    try store.put(name, bytes, cancellation: cancellation)
  }
}

@Suite("Shipping WAL to several stores") struct ShippingTests {
  private static func run(_ body: (ShippingSite) throws -> Void) throws {
    try TemporaryDirectory.run { try body(ShippingSite($0)) }
  }

  @Test("goes on past one that hangs, which gets the same bytes once it no longer does") func hangs() throws {
    try Self.run { site in
      site.first.shut()
      try site.land(5)
      try site.shipping {
        try Poll.until(.seconds(30), "the second store") { try site.second.size(of: site.name(5)) != nil }
        try Poll.until(.seconds(30), "its position") { site.durable(site.second) == LSN(6 << 20) }
        #expect(site.durable(site.first) == LSN(1 << 20))
        #expect((UInt64(1)...5).allSatisfy { DurableFile.exists(site.landed($0)) }, "the first lacks them")
        site.first.open()
        try Poll.until(.seconds(30), "an empty queue") { site.queue.look { $0.items.isEmpty } }
      }
      #expect(site.durable(site.first) == LSN(6 << 20))
      for number in UInt64(1)...5 {
        let name = site.name(number)
        #expect(try site.first.readAll(name) == site.second.readAll(name))
        #expect(!DurableFile.exists(site.landed(number)))
      }
    }
  }

  @Test("leaves what is damaged in one of them as it is, tells of it, and holds up nothing else for it")
  func damaged() throws {
    try Self.run { site in
      let damaged = [UInt8](repeating: 7, count: 500)
      try damaged.withUnsafeBytes { try site.first.put(site.name(1), $0, cancellation: Cancellation()) }
      try site.land(3)
      #expect(try !site.shipper.isStored(.segment(site.segment(1)), readingFrom: site.landed(1)))
      try site.shipping {
        for (store, numbers) in [(site.second, 1...3), (site.first, 2...3)] as [(GatedStore, ClosedRange<UInt64>)] {
          for number in numbers {
            try Poll.until(.seconds(30), "segment \(number) in \(store.id)") {
              try store.size(of: site.name(number)) != nil
            }
          }
        }
        try Poll.until(.seconds(30), "one that is left") {
          site.queue.look { $0.items.map(\.pending) } == [[site.first.id]]
        }
        #expect(try site.first.readAll(site.name(1)) == damaged)
        #expect(DurableFile.exists(site.landed(1)))
        #expect(site.durable(site.first) == LSN(1 << 20) && site.durable(site.second) == LSN(4 << 20))
        let failures = site.log.all.compactMap { event -> (StoreID, ErrorReport)? in
          if case .storeFailed(let store, let report, _) = event { (store, report) } else { nil }
        }
        #expect(!failures.isEmpty && failures.allSatisfy { $0.0 == site.first.id })
        #expect(failures.first?.1.summary.contains(site.name(1).text) == true)
        // It works, and is not tried less often for it.
        #expect(site.queue.isWell(site.first.id) && site.queue.look { $0.refuses(site.first.id) })
        // A person has removed it, and a minute is over.
        try site.first.delete(site.name(1))
        site.queue.change { state in for number in state.items.indices { state.items[number].refusals = [:] } }
        try Poll.until(.seconds(30), "an empty queue") { site.queue.look { $0.items.isEmpty } }
      }
      #expect(try site.first.readAll(site.name(1)) == site.second.readAll(site.name(1)))
      #expect(site.log.all.contains { if case .storeRecovered(site.first.id) = $0 { true } else { false } })
    }
  }

  @Test("drops the slices of a segment that is complete for those that have not begun with them") func slices() throws {
    let stores = [StoreID(unchecked: "first"), StoreID(unchecked: "second")]
    let queue = ShippingQueue(stores: stores, interval: .zero)
    let segment = WALSegment(timeline: TimelineID(1), number: 1)
    let start = segment.start(size: .standard)
    queue.begin(segment, size: .standard, sliceEnd: start)
    queue.flushed(WALIndex(timeline: segment.timeline, first: start, end: start + 100), through: start + 100)
    let slice = try #require(queue.next(for: stores[0]).item?.shipment)
    queue.landed(segment)
    #expect(queue.look { $0.items.map(\.pending.count) } == [1, 2])
    // Both may hold less than the slice, and the first gets it all the same.
    #expect(queue.next(for: stores[1]).item?.shipment == .segment(segment))
    #expect(queue.failed(slice, in: stores[0], CancellationError()) == 0)
    #expect(queue.release(slice, from: stores[0]))
    #expect(queue.next(for: stores[0]).item?.shipment == .segment(segment))
    _ = queue.succeeded(.segment(segment), in: stores[1])
    #expect(!queue.release(.segment(segment), from: stores[1]), "the first lacks it")
    _ = queue.succeeded(.segment(segment), in: stores[0])
    #expect(queue.release(.segment(segment), from: stores[0]))
  }
}
