internal import BackupModel
internal import Repository

/// How the queue changes, and what follows from what is in it.
extension ShippingQueue.State {
  mutating func add(
    _ shipment: Shipment, index: WALIndex?, pending: Set<StoreID>, unasked: Set<StoreID> = []
  ) {
    if pending.isEmpty || items.contains(where: { $0.shipment == shipment }) { return }
    items.append(ShippingQueue.Item(shipment: shipment, index: index, pending: pending, unasked: unasked))
  }

  /// The whole segment takes their place, except in stores that they are on their way to.
  mutating func dropSlices(of segment: WALSegment) {
    for number in items.indices {
      guard case .slice(segment, _, _) = items[number].shipment else { continue }
      items[number].pending.formIntersection(items[number].work.keys)
    }
    items.removeAll {
      if case .slice(segment, _, _) = $0.shipment { $0.work.isEmpty } else { false }
    }
  }

  /// Makes a slice of what is durable and in no slice yet, when it is time or somebody waits for it.
  mutating func cutSlice(_ now: ContinuousClock.Instant, interval: Duration, pending: Set<StoreID>) {
    let isTime = now >= nextSlice
    if isTime { nextSlice = now + interval }
    guard let open, open.flushed > open.sliceEnd else {
      if isTime { cutClock(pending: pending) }
      return
    }
    clockPause = .zero
    let isWanted = wanted.map { $0 > open.sliceEnd && $0 <= open.flushed } ?? false
    guard isTime || isWanted else { return }
    add(
      .slice(open.segment, first: open.sliceEnd, end: open.flushed),
      index: open.index.part(from: open.sliceEnd, to: open.flushed), pending: pending)
    self.open?.sliceEnd = open.flushed
  }

  /// Longest time between two clocks of an idle server.
  static let longestClockPause: Duration = .seconds(300)

  /// Lets the stores know that nothing has happened since: at once, then less and less often.
  private mutating func cutClock(pending: Set<StoreID>) {
    guard let open, let clock = open.clock, open.flushed == open.sliceEnd else { return }
    if let shippedClock, clock - shippedClock < clockPause { return }
    // It says all that an older one does, which a store that is away may still lack.
    items.removeAll { if case .clock = $0.shipment { $0.work.isEmpty } else { false } }
    add(
      .clock(open.segment, WALClock(timeline: open.segment.timeline, end: open.flushed, clock: clock)), index: nil,
      pending: pending)
    shippedClock = clock
    clockPause = min(max(clockPause * 2, .seconds(10)), Self.longestClockPause)
  }

  /// A slice that an earlier run cut waits until the bytes are here again.
  func isReady(_ shipment: Shipment) -> Bool {
    guard case .slice(let segment, _, let end) = shipment, let open, open.segment == segment else { return true }
    return end <= open.flushed
  }

  /// The first timeline whose history a store lacks: WAL of it, and of what follows, is stored after that.
  func oldestHistory(lackedBy store: StoreID) -> TimelineID? {
    items.compactMap { item -> TimelineID? in
      if case .history(let timeline) = item.shipment, item.pending.contains(store) { timeline } else { nil }
    }.min()
  }

  /// Whether a store holds something else, or something that does not open, where we have to store something.
  func refuses(_ store: StoreID) -> Bool { items.contains { $0.refusals[store] != nil } }

  func isWell(_ store: StoreID, _ now: ContinuousClock.Instant) -> Bool {
    stores[store]?.retryAt == nil
      && !items.contains { item in item.work[store].map { now - $0 > ShippingQueue.patience } ?? false }
  }

  /// Everything before the first thing a store lacks is durable there.
  mutating func advanceDurable() {
    for store in stores.keys {
      var lowest: LSN?
      for item in items where item.pending.contains(store) {
        let first: LSN
        switch item.shipment {
        case .segment(let segment): first = segment.start(size: size)
        case .slice(_, let start, _): first = start
        case .history, .gap, .clock: continue
        }
        lowest = min(lowest ?? first, first)
      }
      guard let reached = lowest ?? open.map(\.sliceEnd) else { continue }
      let before = stores[store]?.durable ?? reached
      stores[store]?.durable = max(before, reached)
    }
  }

  mutating func sample(_ lsn: LSN) {
    let now = ContinuousClock.now
    if let last = samples.last, now - last.time < .seconds(1) { return }
    let lowest = stores.values.map { $0.durable ?? LSN(0) }.min() ?? LSN(0)
    samples.removeAll { $0.lsn <= lowest }
    // A store that is away for days must not cost memory: older samples are thinned out.
    if samples.count >= 4096 { samples = samples.enumerated().filter { $0.offset % 2 == 0 }.map(\.element) }
    samples.append((lsn, now))
  }

  /// For how long the store has lacked something that was durable here.
  func lagSeconds(_ store: StoreID) -> Double? {
    guard let durable = stores[store]?.durable else { return nil }
    guard let first = samples.first(where: { $0.lsn > durable }) else { return 0 }
    return max(0, (ContinuousClock.now - first.time).secondsValue)
  }
}
