internal import BackupModel
internal import BlockingWork
internal import DurableFiles
import Foundation
internal import Postgres
internal import Repository

/// Connects, checks that this is still the server whose WAL we hold, sees to the slot, and lets a ``WALReceiver``
/// stream. Used by one thread.
final class ReceiverSessions {
  private let options: WALArchiver.Options
  private let repository: Repository
  private let accept: (SystemIdentifier) throws -> Lineage
  private let landing: LandingDirectory
  private let space: LandingSpace
  private let queue: ShippingQueue
  private let state: ReceiverState
  private let observe: @Sendable (WALEvent) -> Void
  /// Told whose WAL it is, once.
  private let began: (Lineage, WALSegmentSize) -> Void
  private var receiver: WALReceiver?
  private var isChecked = false
  /// Why the slot was dropped here; until it is known whether WAL was lost by it.
  private var abandoned: String?

  init(
    options: WALArchiver.Options, repository: Repository, accept: @escaping (SystemIdentifier) throws -> Lineage,
    landing: LandingDirectory, space: LandingSpace, queue: ShippingQueue, state: ReceiverState,
    observe: @escaping @Sendable (WALEvent) -> Void, began: @escaping (Lineage, WALSegmentSize) -> Void
  ) {
    self.options = options
    self.repository = repository
    self.accept = accept
    self.landing = landing
    self.space = space
    self.queue = queue
    self.state = state
    self.observe = observe
    self.began = began
  }

  /// One connection, until it ends in an error.
  func run(_ cancellation: Cancellation) throws {
    // What is landed already goes to the stores also while the server is away.
    if receiver == nil, let position = try landing.position() { try begin(position) }
    if !isChecked {
      for warning in try WALPreflight.check(options, cancellation) where options.slotLifetime == .permanent {
        observe(.warned(warning))
      }
      isChecked = true
    }
    let connection = try ReplicationConnection(
      options.connection, applicationName: options.slot, cancellation: cancellation)
    defer { connection.close() }
    let identity = try connection.identifySystem()
    let size = try segmentSize(connection)
    // Whose server this is comes first: nothing is made on another's.
    if let position = try landing.position() {
      if identity.systemIdentifier != position.systemIdentifier { try leave(for: identity, cancellation) }
      try check(identity, size, against: position, connection)
    } else {
      _ = try accept(identity.systemIdentifier)
    }
    let slot = try readySlot(connection)
    if receiver == nil { try begin(firstPosition(identity, size, slot, connection)) }
    guard let receiver else { return }
    if let fork = try fork(identity, receiver.held, connection) { try take(fork, connection, receiver) }
    do {
      try receiver.rewind()
      while true {
        let end = try receiver.stream(connection, cancellation)
        try follow(end, connection, receiver)
      }
    } catch PostgresError.walRemoved(let server, let reason) {
      try acrossGap(PostgresError.walRemoved(server, reason: reason), slot, receiver)
    } catch let error as SlotAbandoned {
      connection.close()
      try abandonSlot(error, cancellation)
    }
  }

  /// Lets the server have its disk back, and waits until there is room here again.
  private func abandonSlot(_ error: SlotAbandoned, _ cancellation: Cancellation) throws {
    let connection = try ReplicationConnection(
      options.connection, applicationName: options.slot, cancellation: cancellation)
    try connection.dropSlot(options.slot, waiting: true)
    connection.close()
    abandoned = error.reason
    observe(.slotDropped(options.slot, reason: error.reason))
    state.change { $0.phase = "full" }
    while try space.isFull() {
      state.heartbeat.beat()
      try cancellation.sleep(.seconds(1))
    }
    observe(.landingHasRoom)
  }

  // MARK: The beginning

  private func begin(_ position: LandingDirectory.Position) throws {
    let lineage = lineage(of: position)
    let size = position.segmentSize
    let waiting = try landing.waiting(position)
    for gap in waiting.gaps { queue.add(.gap(gap)) }
    for timeline in waiting.histories { queue.add(.history(timeline)) }
    for segment in waiting.segments { queue.add(.segment(segment)) }
    for tail in waiting.tails {
      let held = try Descriptor(opening: landing.tailPath(tail, size), O_RDONLY).size()
      let end = tail.start(size: size) + UInt64(held)
      let cut = slices(of: tail, lineage, size)
      if end > cut { queue.add(.slice(tail, first: cut, end: end)) }
      if !queue.hasSlices(of: tail) { try DurableFile.remove(landing.tailPath(tail, size)) }
    }
    receiver = try WALReceiver(
      options: options, lineage: lineage, position: position, sliceEnd: slices(of: position.segment, lineage, size),
      landing: landing, space: space, queue: queue, state: state, observe: observe)
    state.change {
      $0.systemIdentifier = position.systemIdentifier
      $0.timeline = position.timeline
      $0.heldFrom = WALPosition(timeline: position.timeline, lsn: position.open)
    }
    began(lineage, size)
  }

  /// Where the slices end that the stores hold of a segment; what a store lacks of them is queued for it.
  ///
  /// A store that does not answer counts as holding none: a slice that it does hold is found there when it is shipped,
  /// and one that overlaps another does no harm.
  private func slices(of segment: WALSegment, _ lineage: Lineage, _ size: WALSegmentSize) -> LSN {
    var held: [StoreID: Set<WALSlice>] = [:]
    for store in repository.required {
      let listing = try? store.objects.list(below: lineage.walSlicesPrefix(segment, size: size))
      held[store.id] = Set(listing?.objects.compactMap { WALSlice(component: $0.name.lastComponent) } ?? [])
    }
    let chain = WALSlice.chain(held.values.reduce(into: Set()) { $0.formUnion($1) }, from: segment.start(size: size))
    for slice in chain {
      let missing = held.filter { !$0.value.contains(slice) }.keys
      queue.add(.slice(segment, first: slice.first, end: slice.end), missingIn: Array(missing))
    }
    return chain.last?.end ?? segment.start(size: size)
  }

  /// Nothing is held here: begin where the stores' WAL ends, or else where the slot's WAL begins.
  private func firstPosition(
    _ identity: ReplicationConnection.Identity, _ size: WALSegmentSize, _ slot: ReplicationConnection.Slot,
    _ connection: ReplicationConnection
  ) throws -> LandingDirectory.Position {
    let lineage = try accept(identity.systemIdentifier)
    guard let restart = slot.restart else {
      throw PostgresError.slotInvalidated(slot.name, connection.address, reason: "It keeps no WAL.")
    }
    var start = restart
    if options.slotLifetime == .permanent {
      let catalog = try WALCatalog(repository, lineage, segmentSize: size)
      if let failure = catalog.failures.first { throw RetryLater(store: failure.key, cause: failure.value) }
      // The open segment that another state directory knew is received again from its first byte.
      if let held = catalog.end(of: identity.timeline) {
        let isPrimary = try connection.show("in_hot_standby") == "off"
        if identity.lsn < held, isPrimary {
          throw WALArchivingError.serverRolledBack(
            WALPosition(timeline: identity.timeline, lsn: identity.lsn),
            reason: "The server's WAL ends at \(identity.lsn), and the stores hold its WAL up to \(held).")
        }
        start = held
      }
    }
    try landHistories(identity.timeline, connection)
    let segment = WALSegment(timeline: identity.timeline, holding: start, size: size)
    let position = LandingDirectory.Position(
      systemIdentifier: identity.systemIdentifier, segmentSize: size, timeline: identity.timeline,
      open: segment.start(size: size))
    try landing.setPosition(position)
    return position
  }

  private func landHistories(_ timeline: TimelineID, _ connection: ReplicationConnection) throws {
    guard timeline.value > 1 else { return }
    try landHistory(timeline, connection)
  }

  private func landHistory(_ timeline: TimelineID, _ connection: ReplicationConnection) throws {
    let (_, content) = try connection.timelineHistory(timeline)
    try DurableFile.replace(landing.historyPath(timeline), with: content)
    queue.add(.history(timeline))
  }

  // MARK: Checks at each connection

  private func segmentSize(_ connection: ReplicationConnection) throws -> WALSegmentSize {
    // "16MB": SHOW prints binary units.
    let text = try connection.show("wal_segment_size")
    let units: [String: UInt64] = ["kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30]
    guard let number = UInt64(text.prefix { $0.isNumber }), let unit = units[String(text.drop { $0.isNumber })] else {
      throw FormatError.invalid(what: "wal_segment_size", text: text, expected: "a number and MB or GB")
    }
    return try WALSegmentSize(bytes: number &* unit)
  }

  private func check(
    _ identity: ReplicationConnection.Identity, _ size: WALSegmentSize, against position: LandingDirectory.Position,
    _ connection: ReplicationConnection
  ) throws {
    guard identity.systemIdentifier == position.systemIdentifier else {
      throw WALArchivingError.foreignSystemIdentifier(
        options.cluster, expected: position.systemIdentifier, found: identity.systemIdentifier)
    }
    guard size == position.segmentSize else {
      throw WALArchivingError.segmentSizeChanged(expected: position.segmentSize.bytes, found: size.bytes)
    }
    guard let held = receiver?.held else { return }
    if identity.timeline < held.timeline {
      throw WALArchivingError.timelineForked(
        held: held.timeline, server: identity.timeline, reason: "The server is on timeline \(identity.timeline).")
    }
    if identity.timeline == held.timeline, identity.lsn < held.lsn, try connection.show("in_hot_standby") == "off" {
      // A standby's position may go back when it restarts; a primary's never does.
      throw WALArchivingError.serverRolledBack(
        WALPosition(timeline: identity.timeline, lsn: identity.lsn),
        reason: "The server's WAL ends at \(identity.lsn), and it had sent WAL up to \(held.lsn).")
    }
  }

  /// Our slot, made where it is missing or has lost its WAL. No other slot is ever touched.
  private func readySlot(_ connection: ReplicationConnection) throws -> ReplicationConnection.Slot {
    let lifetime: ReplicationConnection.SlotLifetime = options.slotLifetime == .permanent ? .permanent : .temporary
    if let slot = try connection.readSlot(options.slot) {
      if slot.restart != nil { return slot }
      try connection.dropSlot(options.slot)
    }
    try connection.createPhysicalSlot(options.slot, reserveWAL: .immediate, lifetime: lifetime)
    observe(.slotCreated(options.slot))
    guard let slot = try connection.readSlot(options.slot) else {
      throw PostgresError.slotMissing(options.slot, connection.address)
    }
    return slot
  }

  // MARK: What breaks the run of WAL

  /// Another lineage was accepted: what is landed of this one goes to its stores first.
  private func leave(for identity: ReplicationConnection.Identity, _ cancellation: Cancellation) throws -> Never {
    _ = try accept(identity.systemIdentifier)
    try receiver?.setOpenSegmentAside()
    state.change { $0.phase = "waiting" }
    let changed = queue.changed
    let handler = cancellation.addHandler { changed.raise() }
    defer { cancellation.removeHandler(handler) }
    while true {
      try cancellation.check()
      state.heartbeat.beat()
      let before = changed.value
      if queue.look({ $0.items.isEmpty }) { throw LineageLeft() }
      changed.wait(after: before, for: .seconds(1))
    }
  }

  /// The server ended the timeline: its history first, then its WAL.
  private func follow(
    _ end: (next: TimelineID, at: LSN), _ connection: ReplicationConnection, _ receiver: WALReceiver
  ) throws {
    try landHistory(end.next, connection)
    try receiver.jump(to: WALPosition(timeline: end.next, lsn: end.at))
    observe(.timelineFollowed(end.next, at: end.at))
  }

  /// Where the server's timeline left what is held before its end: a standby was promoted that had not received all of
  /// it, or the server was restored to an earlier instant. Nil where it goes on from what is held.
  /// - Throws: ``WALArchivingError/timelineForked(held:server:reason:)`` where it has WAL of an older timeline that is
  ///   not held: another server was followed meanwhile.
  private func fork(
    _ identity: ReplicationConnection.Identity, _ held: WALPosition, _ connection: ReplicationConnection
  ) throws -> (next: TimelineID, at: LSN)? {
    guard identity.timeline > held.timeline else { return nil }
    let text = String(decoding: try connection.timelineHistory(identity.timeline).content, as: UTF8.self)
    let theirs = try TimelineHistory(timeline: identity.timeline, text: text).entries
    if let left = theirs.first(where: { $0.timeline == held.timeline })?.end, left >= held.lsn { return nil }
    var ours = Dictionary(uniqueKeysWithValues: try history(of: held.timeline).map { ($0.timeline, $0.end) })
    ours[held.timeline] = held.lsn
    let shared = theirs.prefix { ours[$0.timeline] != nil }
    guard let last = shared.last, let end = ours[last.timeline], last.end <= end else {
      let reason = shared.last.map {
        "The server's WAL of timeline \($0.timeline) goes on to \($0.end), past what is held."
      }
      throw WALArchivingError.timelineForked(
        held: held.timeline, server: identity.timeline, reason: reason ?? "The server's timeline shares no other.")
    }
    let next = shared.endIndex < theirs.endIndex ? theirs[shared.endIndex].timeline : identity.timeline
    return (next, last.end)
  }

  private func history(of timeline: TimelineID) throws -> [TimelineHistory.Entry] {
    guard timeline.value > 1, let lineage = try landing.position().map({ lineage(of: $0) }) else { return [] }
    let path = landing.historyPath(timeline)
    let bytes =
      DurableFile.exists(path)
      ? try DurableFile.read(path, limit: 1 << 20)
      : try repository.read(.timelineHistory, lineage.history(timeline)) { try $0.readStream() }
    return try TimelineHistory(timeline: timeline, text: String(decoding: bytes, as: UTF8.self)).entries
  }

  private func lineage(of position: LandingDirectory.Position) -> Lineage {
    Lineage(cluster: options.cluster, systemIdentifier: position.systemIdentifier)
  }

  /// Goes on where the server's timeline begins. What is held behind the fork stays: nobody else may have it.
  private func take(
    _ fork: (next: TimelineID, at: LSN), _ connection: ReplicationConnection, _ receiver: WALReceiver
  ) throws {
    let held = receiver.held
    try landHistory(fork.next, connection)
    try receiver.jump(to: WALPosition(timeline: fork.next, lsn: fork.at))
    observe(.timelineForked(fork.next, at: fork.at, kept: held))
  }

  /// WAL that we need is gone from the server: record what is missing, go on where its WAL begins.
  private func acrossGap(_ error: PostgresError, _ slot: ReplicationConnection.Slot, _ receiver: WALReceiver) throws {
    let held = receiver.held
    guard let position = try landing.position(), let restart = slot.restart else { throw error }
    let start = WALSegment(timeline: held.timeline, holding: restart, size: position.segmentSize)
      .start(size: position.segmentSize)
    // The slot keeps WAL from before what we ask for: this is not the gap it seems.
    guard start > position.open else { throw error }
    if options.slotLifetime == .temporary { throw WALArchivingError.walLost(first: held, end: start) }
    let gap = WALGap(
      timeline: held.timeline, first: held.lsn, end: start, reason: abandoned ?? error.detail ?? error.summary)
    abandoned = nil
    // The record comes first: after a crash in between it is made once more, and never forgotten.
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try DurableFile.replace(landing.gapPath(gap.id), with: Array(encoder.encode(gap)))
    queue.add(.gap(gap))
    try receiver.jump(to: WALPosition(timeline: held.timeline, lsn: start))
    state.change { $0.heldFrom = WALPosition(timeline: held.timeline, lsn: start) }
    observe(.gap(gap))
  }
}

/// Everything of the lineage that was received so far is in its stores; another one goes on.
struct LineageLeft: Error {}

/// A store must answer before streaming can begin.
private struct RetryLater: OperatorError {
  var store: StoreID
  var cause: ErrorReport
  var summary: String { "could not look for the WAL that store \"\(store)\" holds" }
  var detail: String? { [cause.summary, cause.detail].compactMap { $0 }.joined(separator: ": ") }
  var hint: String? { cause.hint }
}
