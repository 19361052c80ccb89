internal import BackupModel
internal import BlockingWork
internal import Repository
import Synchronization

/// What waits for which store, and how far each store has come. Shared by the receiver and the shipping lanes.
final class ShippingQueue: Sendable {
  struct Item {
    var shipment: Shipment
    var index: WALIndex?
    var pending: Set<StoreID>
    /// Of these, those that may hold it all the same, from an earlier run.
    var unasked: Set<StoreID> = []
    /// Stores it is on its way to, and since when.
    var work: [StoreID: ContinuousClock.Instant] = [:]
    /// Stores that hold something else in its place, and when they are asked again: that will not change soon.
    var refusals: [StoreID: ContinuousClock.Instant] = [:]
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

  /// What needs a person is tried again so often.
  static let refusalPause: Duration = .seconds(60)
  /// A store that has a lane wait for so long is not asked by others meanwhile.
  static let patience: Duration = .seconds(5)

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

  /// - Parameter stores: Those that lack it; nil for all, some of which may hold it from an earlier run.
  func add(_ shipment: Shipment, index: WALIndex? = nil, missingIn stores: [StoreID]? = nil) {
    let all = Set(self.stores)
    change { $0.add(shipment, index: index, pending: stores.map { Set($0) } ?? all, unasked: stores == nil ? all : []) }
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
      state.dropSlices(of: segment)
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

  /// The next thing to ship to a store; nil with the time to wait where there is nothing.
  func next(for store: StoreID) -> (item: Item?, wait: Duration) {
    let all = Set(stores)
    let interval = self.interval
    return look { state in
      let now = ContinuousClock.now
      state.cutSlice(now, interval: interval, pending: all)
      var wait = max(state.nextSlice - now, .milliseconds(10))
      if let retry = state.stores[store]?.retryAt, retry > now { return (nil, min(wait, retry - now)) }
      let history = state.oldestHistory(lackedBy: store)
      for number in state.items.indices where state.items[number].pending.contains(store) {
        let item = state.items[number]
        guard item.work[store] == nil, state.isReady(item.shipment), !item.shipment.isBehind(history) else { continue }
        if let retry = item.refusals[store], retry > now {
          wait = min(wait, retry - now)
          continue
        }
        state.items[number].work[store] = now
        return (item, .zero)
      }
      return (nil, wait)
    }
  }

  /// Other stores that hold a shipment's object, or may: those that fail or hang are not among them.
  func holders(of shipment: Shipment, besides store: StoreID) -> [StoreID] {
    let others = stores.filter { $0 != store }
    return look { state in
      let now = ContinuousClock.now
      let item = state.items.first { $0.shipment == shipment }
      return others.filter { other in
        let mayHold = item.map { !$0.pending.contains(other) || $0.unasked.contains(other) } ?? true
        return mayHold && state.isWell(other, now)
      }
    }
  }

  /// Whether a store neither fails nor hangs.
  func isWell(_ store: StoreID) -> Bool { look { $0.isWell(store, .now) } }

  /// - Returns: Whether this store had been failing, or takes something for the first time: an earlier process may have
  ///   seen it fail.
  func succeeded(_ shipment: Shipment, in store: StoreID) -> Bool {
    change { state in
      if let number = state.items.firstIndex(where: { $0.shipment == shipment }) {
        state.items[number].pending.remove(store)
        state.items[number].refusals[store] = nil
      }
      let before = state.stores[store] ?? StoreState()
      // That it takes other things is no news while it refuses one.
      let refuses = state.refuses(store)
      state.stores[store]?.hasTaken = true
      state.stores[store]?.failures = 0
      state.stores[store]?.retryAt = nil
      if !refuses { state.stores[store]?.error = nil }
      state.advanceDurable()
      return !refuses && (before.error != nil || !before.hasTaken)
    }
  }

  /// - Returns: How many times in a row this store has failed; zero where it does not matter, since the segment of this
  ///   slice is complete and its file perhaps stored and gone.
  func failed(_ shipment: Shipment, in store: StoreID, _ error: any Error) -> Int {
    change { state in
      let number = state.items.firstIndex { $0.shipment == shipment }
      if case .slice(let segment, _, _) = shipment, state.landed.contains(segment) {
        if let number { state.items[number].pending.remove(store) }
        return 0
      }
      var entry = state.stores[store] ?? StoreState()
      entry.error = ErrorReport(error)
      switch error {
      case WALArchivingError.contentDiffers, WALArchivingError.objectUnusable:
        // The store works; this one thing needs a person.
        if let number { state.items[number].refusals[store] = .now + Self.refusalPause }
      default:
        entry.failures += 1
        entry.retryAt = .now + Backoff.delay(attempt: entry.failures)
      }
      state.stores[store] = entry
      return max(1, entry.failures)
    }
  }

  /// A store's lane is done with it.
  /// - Returns: Whether every store holds it now; it is forgotten then.
  func release(_ shipment: Shipment, from store: StoreID) -> Bool {
    change { state in
      guard let number = state.items.firstIndex(where: { $0.shipment == shipment }) else { return false }
      state.items[number].work[store] = nil
      guard state.items[number].pending.isEmpty, state.items[number].work.isEmpty else { return false }
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

/// Waiting times between attempts: doubling to half a minute, each somewhere between half and the whole of it, so that
/// many clients of one server do not come back together.
enum Backoff {
  static let cap: Duration = .seconds(30)

  static func delay(attempt: Int) -> Duration {
    let whole = min(cap.secondsValue, 0.25 * Double(1 << min(max(attempt - 1, 0), 10)))
    return .milliseconds(Int64(whole * Double.random(in: 500...1000)))
  }
}
