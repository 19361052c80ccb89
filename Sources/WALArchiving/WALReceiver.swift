internal import BackupModel
internal import BlockingWork
internal import DurableFiles
internal import Postgres
internal import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Streams WAL into the landing directory. One session is one connection, from its beginning to its first error.
///
/// Used by one thread. What others see of it goes through ``ShippingQueue`` and ``ReceiverState``.
final class WALReceiver {
  /// Status messages at least this often: well below any sensible `wal_sender_timeout`.
  private static let statusInterval: Duration = .seconds(5)
  /// Bytes taken before they are made durable and acknowledged, where the server sends faster than we can.
  private static let batch: UInt64 = 4 << 20

  private let options: WALArchiver.Options
  private let lineage: Lineage
  private let size: WALSegmentSize
  private let landing: LandingDirectory
  private let space: LandingSpace
  private let queue: ShippingQueue
  private let state: ReceiverState
  private let observe: @Sendable (WALEvent) -> Void

  private var position: LandingDirectory.Position
  private var open: OpenSegment
  private var decoder: WALRecordDecoder
  private var index: WALIndex
  private var serverClock: Timestamp?
  /// What the server's clock said when it had no more WAL than this, once that is durable here.
  private var complete: ServerClocks.Point?
  private var lastStatus = ContinuousClock.now
  private var lastData = ContinuousClock.now

  /// - Parameters:
  ///   - position: Where to begin: the open segment.
  ///   - sliceEnd: How far slices of it are cut already.
  init(
    options: WALArchiver.Options, lineage: Lineage, position: LandingDirectory.Position, sliceEnd: LSN,
    landing: LandingDirectory, space: LandingSpace, queue: ShippingQueue, state: ReceiverState,
    observe: @escaping @Sendable (WALEvent) -> Void
  ) throws {
    self.options = options
    self.lineage = lineage
    self.landing = landing
    self.space = space
    self.queue = queue
    self.state = state
    self.observe = observe
    self.position = position
    size = position.segmentSize
    open = try OpenSegment(position.segment, size: size, in: landing, filled: options.isSynchronous)
    decoder = Self.decoder(position)
    index = WALIndex(timeline: position.timeline, first: position.open, end: position.open)
    queue.begin(position.segment, size: size, sliceEnd: sliceEnd)
  }

  private static func decoder(_ position: LandingDirectory.Position) -> WALRecordDecoder {
    WALRecordDecoder(
      from: WALPosition(timeline: position.timeline, lsn: position.open), segmentSize: position.segmentSize,
      systemIdentifier: position.systemIdentifier, openRecord: position.openRecord)
  }

  /// End of what is durable here.
  var held: WALPosition { WALPosition(timeline: position.timeline, lsn: open.flushed) }

  /// Receives until the stream ends.
  ///
  /// - Returns: The timeline that follows, where the server ended this one; its history must be landed before
  ///   ``jump(to:)``.
  func stream(_ connection: ReplicationConnection, _ cancellation: Cancellation) throws -> (next: TimelineID, at: LSN) {
    let start = WALPosition(timeline: position.timeline, lsn: position.open)
    let stream = try connection.streamWAL(slot: options.slot, from: start)
    state.change {
      $0.phase = "streaming"
      $0.timeline = start.timeline
      $0.error = nil
    }
    observe(.connected(server: connection.address.description, from: start))
    try status(stream)
    while true {
      try cancellation.check()
      state.heartbeat.beat()
      if try space.isFull() { try waitForSpace(stream, cancellation) }
      let message = try stream.next(timeout: untilStatus) { try take($0) }
      guard let message else {
        try status(stream)
        continue
      }
      var received = message
      var batch = received.bytes
      // Everything that is there already shares one fsync.
      while batch < Self.batch, received.end == nil, let more = try stream.next(timeout: .zero, { try take($0) }) {
        batch += more.bytes
        received = Received(bytes: batch, wantsReply: received.wantsReply || more.wantsReply, end: more.end)
      }
      if received.bytes > 0 { try flush() }
      if let end = received.end { return end }
      if received.bytes > 0 || received.wantsReply || untilStatus == .zero { try status(stream) }
    }
  }

  /// Takes nothing more and acknowledges nothing more, but keeps what is here and the connection.
  private func waitForSpace(_ stream: WALStream, _ cancellation: Cancellation) throws {
    state.change { $0.phase = "full" }
    observe(.landingFull(landing.path))
    while try space.isFull() {
      try cancellation.check()
      state.heartbeat.beat()
      try status(stream)
      if options.dropsSlot, let reason = ServerDisk.endangered(options, cancellation) {
        throw SlotAbandoned(reason: reason)
      }
      try cancellation.sleep(.seconds(1))
    }
    observe(.landingHasRoom)
    state.change { $0.phase = "streaming" }
  }

  private struct Received {
    var bytes: UInt64 = 0
    var wantsReply = false
    var end: (next: TimelineID, at: LSN)?
  }

  private var untilStatus: Duration {
    max(.zero, Self.statusInterval - (ContinuousClock.now - lastStatus))
  }

  private func take(_ message: WALStream.Message) throws -> Received {
    switch message {
    case .data(let start, let serverEnd, let serverTime, let bytes):
      let expected = open.start + open.taken
      guard start == expected else {
        throw WALArchivingError.streamNotContiguous(
          expected: WALPosition(timeline: position.timeline, lsn: expected), found: start)
      }
      serverClock = serverTime
      lastData = .now
      let end = start + UInt64(bytes.count)
      if serverEnd <= end { complete = .init(lsn: end, clock: serverTime, moment: .now) }
      state.heard(serverEnd: serverEnd, received: start + UInt64(bytes.count))
      try take(bytes)
      return Received(bytes: UInt64(bytes.count))
    case .keepalive(let serverEnd, let serverTime, let replyRequested):
      // All the server had at that time is here: so is every commit before it.
      if serverEnd <= open.start + open.taken {
        serverClock = serverTime
        if open.start + open.taken == open.flushed {
          queue.idle(serverTime, at: open.flushed)
          queue.heard(.init(lsn: open.flushed, clock: serverTime, moment: .now))
        }
      }
      state.heard(serverEnd: serverEnd, received: open.start + open.taken)
      return Received(wantsReply: replyRequested)
    case .endOfTimeline(let next, let end):
      return Received(end: (next, end))
    }
  }

  private func take(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = Int(min(UInt64(rest.count), open.left))
      let part = UnsafeRawBufferPointer(rebasing: rest[..<count])
      // First the landing file, which knows what was acknowledged before: a rolled-back server is called that.
      try open.take(part)
      try decoder.feed(part)
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      if open.left == 0 { try completeSegment() }
    }
  }

  /// Makes durable what was taken; the caller acknowledges it then.
  private func flush() throws {
    try open.sync()
    publish()
  }

  private func publish() {
    var more = decoder.takeIndex()
    more.serverClock = serverClock
    index.append(more)
    queue.flushed(more, through: open.start + open.syncedBytes)
    state.flushed(open.flushed)
    tellClock(more)
  }

  /// How near the present what is durable here is: by the server's word that it had no more, or while it has, by the
  /// times of the commits.
  private func tellClock(_ more: WALIndex) {
    if let complete, complete.lsn <= open.flushed {
      queue.heard(complete)
      self.complete = nil
    } else if complete == nil, let commit = more.lastCommitTime, let serverClock {
      let age = max(.zero, serverClock - commit)
      queue.heard(.init(lsn: open.flushed, clock: commit, moment: .now - age))
    }
  }

  /// The order of these steps is what ``LandingDirectory`` explains.
  private func completeSegment() throws {
    try open.sync()
    publish()
    let done = open.segment
    try DurableFile.replace(landing.indexPath(done, size), with: index.encoded())
    position.open = done.end(size: size)
    position.openRecord = decoder.openRecord
    try landing.setPosition(position)
    try landing.land(done, size)
    queue.landed(done)
    try beginSegment()
  }

  private func beginSegment() throws {
    open = try OpenSegment(position.segment, size: size, in: landing, filled: options.isSynchronous)
    index = WALIndex(timeline: position.timeline, first: position.open, end: position.open)
    queue.begin(position.segment, size: size, sliceEnd: position.open)
  }

  private func status(_ stream: WALStream) throws {
    // Written, flushed and applied are one position: a server with remote_apply must not take volatile WAL for safe,
    // and one that waits for an apply position must get it.
    let held = open.flushed
    // An idle server says nothing of itself for half of wal_sender_timeout; asked, it tells its clock at once.
    let isIdle = ContinuousClock.now - lastData > Self.statusInterval / 2
    try stream.sendStatus(written: held, flushed: held, applied: held, reply: isIdle ? .requested : .notNeeded)
    lastStatus = .now
  }

  /// Begins the open segment again from its first byte: what a new connection does.
  func rewind() throws {
    decoder = Self.decoder(position)
    index = WALIndex(timeline: position.timeline, first: position.open, end: position.open)
    let sliceEnd = queue.look { $0.open?.sliceEnd } ?? position.open
    open = try OpenSegment(position.segment, size: size, in: landing, filled: options.isSynchronous)
    queue.begin(position.segment, size: size, sliceEnd: sliceEnd)
  }

  /// Goes on with another segment, leaving the open one incomplete: after a gap, or on the next timeline.
  func jump(to next: WALPosition) throws {
    position.timeline = next.timeline
    position.open = WALSegment(timeline: next.timeline, holding: next.lsn, size: size).start(size: size)
    position.openRecord = nil
    try setOpenSegmentAside()
    try landing.setPosition(position)
    try beginSegment()
    decoder = Self.decoder(position)
  }

  /// What was received of the open segment becomes a tail, which is all that there will be of it.
  func setOpenSegmentAside() throws {
    let tail = open.segment
    let end = open.flushed
    queue.setAside(tail, end: try landing.setAside(tail, size) == nil ? nil : end)
    if !queue.hasSlices(of: tail) { try DurableFile.remove(landing.tailPath(tail, size)) }
  }
}
