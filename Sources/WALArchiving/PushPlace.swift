internal import BackupModel
internal import DurableFiles
internal import Repository
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Whose WAL is pushed, and where it goes: known from the receiver where the cluster's WAL is streamed too, otherwise from
/// the first segment that comes.
final class PushPlace: Sendable {
  private struct State {
    var landing: LandingDirectory?
    var place: WALPusher.Place?
  }
  private let state = Mutex(State())
  private let options: WALArchiver.Options
  private let accept: @Sendable (SystemIdentifier) throws -> Lineage
  private let makeShipper: @Sendable (Lineage, WALSegmentSize, LandingDirectory) -> WALShipper
  private let queue: ShippingQueue
  private let receiver: ReceiverState

  init(
    _ options: WALArchiver.Options, queue: ShippingQueue, receiver: ReceiverState,
    accept: @escaping @Sendable (SystemIdentifier) throws -> Lineage,
    makeShipper: @escaping @Sendable (Lineage, WALSegmentSize, LandingDirectory) -> WALShipper
  ) {
    self.options = options
    self.queue = queue
    self.receiver = receiver
    self.accept = accept
    self.makeShipper = makeShipper
  }

  /// Of whoever pushes; nil while that is not known.
  var shipper: WALShipper? { state.withLock { $0.place?.shipper } }

  /// The archiver runs, or runs no more.
  func use(_ landing: LandingDirectory?) { state.withLock { $0 = State(landing: landing) } }

  /// The receiver has learnt whose WAL it is.
  func set(_ place: WALPusher.Place) { state.withLock { $0.place = place } }

  /// - Returns: Nil while the archiver does not run, or the receiver does not know yet.
  /// - Throws: ``WALArchivingError`` where the cluster's WAL is another one's; what `accept` throws.
  func find(_ identifier: SystemIdentifier, _ size: WALSegmentSize) throws -> WALPusher.Place? {
    let (landing, known) = state.withLock { ($0.landing, $0.place) }
    guard let landing else { return nil }
    if let known {
      if known.lineage.systemIdentifier == identifier, known.size == size { return known }
      if known.lineage.systemIdentifier == identifier {
        throw WALArchivingError.segmentSizeChanged(expected: known.size.bytes, found: size.bytes)
      }
      // Accepted as the cluster's next, it begins when nothing of the one before waits any more.
      guard !options.streams, (try? accept(identifier)) != nil, queue.look({ $0.items.isEmpty }) else {
        throw WALArchivingError.foreignSystemIdentifier(
          options.cluster, expected: known.lineage.systemIdentifier, found: identifier)
      }
      try landing.empty()
      queue.reset()
    } else if options.streams {
      return nil
    }
    let lineage = try accept(identifier)
    let place = WALPusher.Place(
      landing: landing, lineage: lineage, size: size, shipper: makeShipper(lineage, size, landing))
    state.withLock { $0.place = place }
    // Wakes the lanes that wait for a shipper, too.
    receiver.change { $0.systemIdentifier = identifier }
    return place
  }

  /// Where no receiver runs: takes up what an earlier run landed and the stores lack.
  func resume(_ landing: LandingDirectory, of repository: Repository) throws {
    receiver.change { $0.phase = "archiving" }
    guard let position = try landing.position() else { return }
    let size = position.segmentSize
    guard let place = try find(position.systemIdentifier, size) else { return }
    let waiting = try landing.waiting(position)
    for timeline in waiting.histories { queue.add(.history(timeline)) }
    for segment in waiting.segments { queue.add(.segment(segment)) }
    for tail in waiting.tails {
      let held = try Descriptor(opening: landing.tailPath(tail, size), O_RDONLY).size()
      let start = tail.start(size: size)
      queue.add(.slice(tail, first: start, end: start + UInt64(held)))
    }
    // A store that does not answer now is asked when it is written to.
    let end = try? WALCatalog(repository, place.lineage, segmentSize: size).end(of: position.timeline)
    let landed = waiting.segments.last.map { $0.end(size: size) }
    advance(to: WALPosition(timeline: position.timeline, lsn: max(end ?? position.open, landed ?? position.open)), size)
  }

  /// A segment is durable, here or in the stores.
  func took(_ segment: WALSegment, _ size: WALSegmentSize) throws {
    if options.streams { return }
    let end = WALPosition(timeline: segment.timeline, lsn: segment.end(size: size))
    let (landing, place) = state.withLock { ($0.landing, $0.place) }
    guard let landing, let place else { return }
    // Only who we are is read from it again, so it need not be written for each segment.
    if try landing.position()?.timeline != end.timeline {
      try landing.setPosition(
        LandingDirectory.Position(
          systemIdentifier: place.lineage.systemIdentifier, segmentSize: size, timeline: end.timeline, open: end.lsn))
    }
    advance(to: end, size)
  }

  private func advance(to end: WALPosition, _ size: WALSegmentSize) {
    let before = receiver.look()
    if let timeline = before.timeline, let flushed = before.flushed, (timeline, flushed) >= (end.timeline, end.lsn) {
      return
    }
    queue.begin(WALSegment(timeline: end.timeline, holding: end.lsn, size: size), size: size, sliceEnd: end.lsn)
    receiver.change {
      $0.timeline = end.timeline
      $0.flushed = end.lsn
      $0.received = end.lsn
      $0.lastMessage = .now()
    }
  }
}
