internal import BackupModel
internal import BlockingWork
internal import Repository
import Synchronization

/// Something that every store must come to hold.
enum Shipment: Hashable, Sendable {
  case history(TimelineID)
  case segment(WALSegment)
  /// Bytes of the open segment, or of one that was set aside.
  case slice(WALSegment, first: LSN, end: LSN)
  case gap(WALGap)
  /// What an idle server's clock said.
  case clock(WALSegment, WALClock)

  var timeline: TimelineID {
    switch self {
    case .history(let timeline): timeline
    case .segment(let segment), .slice(let segment, _, _), .clock(let segment, _): segment.timeline
    case .gap(let gap): gap.timeline
    }
  }
}

/// What waits for which store, and how far each store has come. Shared by the receiver and the shipping lanes.
final class ShippingQueue: Sendable {
  struct Item {
    var shipment: Shipment
    var index: WALIndex?
    var pending: Set<StoreID>
    var isInWork = false
    /// Not to be tried before, for this item alone: what it found there will not change soon.
    var retryAt: ContinuousClock.Instant?
  }

  /// The open segment as far as it is durable in the landing directory.
  struct Open {
    var segment: WALSegment
    var flushed: LSN
    /// Of all that is durable, from the segment's first byte.
    var index: WALIndex
    /// Where the next slice begins.
    var sliceEnd: LSN
    /// The server's clock when it last said that it has no more WAL than this.
    var clock: Timestamp?
  }

  struct StoreState {
    var failures = 0
    var retryAt: ContinuousClock.Instant?
    var error: ErrorReport?
    var durable: LSN?
    /// Anything, since this process began.
    var hasTaken = false
  }

  struct State {
    var size = WALSegmentSize.standard
    var items: [Item] = []
    var open: Open?
    var stores: [StoreID: StoreState] = [:]
    var nextSlice = ContinuousClock.now
    /// An idle server's clock goes out when it has come this far since the one before; it doubles each time.
    var clockPause: Duration = .zero
    var shippedClock: Timestamp?
    /// Somebody waits for WAL up to here.
    var wanted: LSN?
    /// Complete segments: what a slice of one holds, the segment holds too.
    var landed: [WALSegment] = []
    /// When which position became durable here, for the stores' lag.
    var samples: [(lsn: LSN, time: ContinuousClock.Instant)] = []
    /// What the server's clock said at which position.
    var clocks = ServerClocks()

    init(_ stores: [StoreID] = []) {
      for store in stores { self.stores[store] = StoreState() }
    }
  }

  let stores: [StoreID]
  let interval: Duration
  let changed = Signal()
  private let state: Mutex<State>

  init(stores: [StoreID], interval: Duration) {
    self.stores = stores
    self.interval = interval
    state = Mutex(State(stores))
  }

  /// Forgets everything: the positions of another lineage mean nothing in this one.
  func reset() {
    let stores = self.stores
    change { $0 = State(stores) }
  }

  func change<Result: Sendable>(_ body: (inout sending State) -> sending Result) -> Result {
    let result = state.withLock { body(&$0) }
    changed.raise()
    return result
  }
  func look<Result: Sendable>(_ body: (inout sending State) -> sending Result) -> Result {
    state.withLock { body(&$0) }
  }

  // MARK: What the receiver says

  /// - Parameter stores: Those that lack it; nil for all.
  func add(_ shipment: Shipment, index: WALIndex? = nil, missingIn stores: [StoreID]? = nil) {
    change { $0.add(shipment, index: index, pending: Set(stores ?? self.stores)) }
  }

  /// A segment begins, or begins again after a restart with slices of it already in the stores.
  func begin(_ segment: WALSegment, size: WALSegmentSize, sliceEnd: LSN) {
    let start = segment.start(size: size)
    let interval = self.interval
    change {
      $0.size = size
      $0.open = Open(
        segment: segment, flushed: start, index: WALIndex(timeline: segment.timeline, first: start, end: start),
        sliceEnd: sliceEnd)
      $0.nextSlice = .now + interval
      $0.advanceDurable()
    }
  }

  /// More of the open segment is durable in the landing directory.
  func flushed(_ index: WALIndex, through lsn: LSN) {
    let isWanted = look { state -> Bool in
      state.open?.index.append(index)
      state.open?.flushed = lsn
      // What the clock said was true of less WAL.
      state.open?.clock = nil
      state.sample(lsn)
      return state.wanted.map { lsn >= $0 } ?? false
    }
    if isWanted { changed.raise() }
  }

  /// The server has no more WAL than what is durable here.
  func idle(_ clock: Timestamp, at lsn: LSN) {
    look { state in
      if state.open?.flushed == lsn { state.open?.clock = clock }
    }
  }

  /// At a moment of the server's all its WAL up to here, which is durable here, was all there was.
  func heard(_ point: ServerClocks.Point) {
    look { state in
      let lowest = state.stores.values.map { $0.durable ?? LSN(0) }.min() ?? LSN(0)
      state.clocks.note(point, lowest: lowest)
    }
  }

  /// The open segment is complete and landed: it supersedes slices of it that are still waiting.
  func landed(_ segment: WALSegment) {
    let all = Set(stores)
    change { state in
      state.items.removeAll {
        if case .slice(segment, _, _) = $0.shipment { !$0.isInWork } else { false }
      }
      state.add(.segment(segment), index: nil, pending: all)
      state.landed = state.landed.suffix(63) + [segment]
      state.open = nil
    }
  }

  /// The open segment was set aside: what no slice holds yet becomes one.
  func setAside(_ segment: WALSegment, end: LSN?) {
    let all = Set(stores)
    change { state in
      if let open = state.open, open.segment == segment, let end, end > open.sliceEnd {
        state.add(
          .slice(segment, first: open.sliceEnd, end: end),
          index: open.flushed >= end ? open.index.part(from: open.sliceEnd, to: end) : nil, pending: all)
      }
      state.open = nil
    }
  }

  // MARK: What the lanes ask

  /// The next thing to ship and the stores to ship it to; nil with the time to wait where there is nothing.
  func next() -> (work: (Item, [StoreID])?, wait: Duration) {
    let all = Set(stores)
    let interval = self.interval
    return look { state in
      let now = ContinuousClock.now
      state.cutSlice(now, interval: interval, pending: all)
      var wait = max(state.nextSlice - now, .milliseconds(10))
      for number in state.items.indices where !state.items[number].isInWork {
        let item = state.items[number]
        let blocked = state.pendingHistories(before: item.shipment)
        var ready: [StoreID] = []
        for store in item.pending.sorted() where !blocked.contains(store) {
          let retry = max(item.retryAt ?? now, state.stores[store]?.retryAt ?? now)
          if retry <= now { ready.append(store) } else { wait = min(wait, retry - now) }
        }
        if state.isReady(item.shipment), !ready.isEmpty {
          state.items[number].isInWork = true
          return ((item, ready), .zero)
        }
      }
      return (nil, wait)
    }
  }

  /// - Returns: Whether this store had been failing, or takes something for the first time: an earlier process may have
  ///   seen it fail.
  func succeeded(_ shipment: Shipment, in store: StoreID) -> Bool {
    change { state in
      if let number = state.items.firstIndex(where: { $0.shipment == shipment }) {
        state.items[number].pending.remove(store)
      }
      let isNews = state.stores[store]?.error != nil || state.stores[store]?.hasTaken == false
      state.stores[store]?.hasTaken = true
      state.stores[store]?.failures = 0
      state.stores[store]?.retryAt = nil
      state.stores[store]?.error = nil
      state.advanceDurable()
      return isNews
    }
  }

  /// - Returns: How many times in a row this store has failed; zero where it does not matter, since the segment of this
  ///   slice is complete and its file perhaps stored and gone.
  func failed(_ shipment: Shipment, in store: StoreID, _ error: any Error) -> Int {
    change { state in
      if case .slice(let segment, _, _) = shipment, state.landed.contains(segment) {
        if let number = state.items.firstIndex(where: { $0.shipment == shipment }) {
          state.items[number].pending.remove(store)
        }
        return 0
      }
      var entry = state.stores[store] ?? StoreState()
      entry.error = ErrorReport(error)
      if case WALArchivingError.contentDiffers = error {
        // The store works; this one thing needs a person.
        if let number = state.items.firstIndex(where: { $0.shipment == shipment }) {
          state.items[number].retryAt = .now + .seconds(60)
        }
      } else {
        entry.failures += 1
        entry.retryAt = .now + Backoff.delay(attempt: entry.failures)
      }
      state.stores[store] = entry
      return max(1, entry.failures)
    }
  }

  /// - Returns: Whether every store holds it now; it is forgotten then.
  func release(_ shipment: Shipment) -> Bool {
    change { state in
      guard let number = state.items.firstIndex(where: { $0.shipment == shipment }) else { return false }
      state.items[number].isInWork = false
      guard state.items[number].pending.isEmpty else { return false }
      state.items.remove(at: number)
      state.advanceDurable()
      return true
    }
  }

  /// Whether any slice of a segment still waits.
  func hasSlices(of segment: WALSegment) -> Bool {
    look { $0.items.contains { if case .slice(segment, _, _) = $0.shipment { true } else { false } } }
  }
}

extension ShippingQueue.State {
  mutating func add(_ shipment: Shipment, index: WALIndex?, pending: Set<StoreID>) {
    if pending.isEmpty || items.contains(where: { $0.shipment == shipment }) { return }
    items.append(ShippingQueue.Item(shipment: shipment, index: index, pending: pending))
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
    let isWaiting = items.contains { if case .clock = $0.shipment { true } else { false } }
    if isWaiting { return }
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

  /// Stores that lack the history of this timeline: its WAL is stored after that.
  func pendingHistories(before shipment: Shipment) -> Set<StoreID> {
    if case .history = shipment { return [] }
    return items.reduce(into: []) { result, item in
      if case .history(let timeline) = item.shipment, timeline <= shipment.timeline { result.formUnion(item.pending) }
    }
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

/// Waiting times between attempts: doubling to half a minute, each somewhere between half and the whole of it, so that
/// many clients of one server do not come back together.
enum Backoff {
  static let cap: Duration = .seconds(30)

  static func delay(attempt: Int) -> Duration {
    let whole = min(cap.secondsValue, 0.25 * Double(1 << min(max(attempt - 1, 0), 10)))
    return .milliseconds(Int64(whole * Double.random(in: 500...1000)))
  }
}
