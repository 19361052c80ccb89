public import BackupModel

/// How far into the present a cluster's WAL reaches, in each place that keeps it.
public struct WALReach: Sendable, Hashable {
  /// The WAL of one place.
  public struct Place: Sendable, Hashable {
    /// Everything before it is durable there.
    public var end: LSN
    /// The server's clock at that position: whatever ended before is there.
    public var clock: Timestamp
    /// Since then, by a clock that nobody sets.
    public var loss: Duration

    public init(end: LSN, clock: Timestamp, loss: Duration) {
      self.end = end
      self.clock = clock
      self.loss = loss
    }
  }

  /// The run of WAL without a hole that the receiver goes on with begins here.
  public var heldFrom: WALPosition
  /// Of what is received now.
  public var timeline: TimelineID
  /// Nil where it is on the server's host, and lost with it, or where that is not known.
  public var landing: Place?
  public var stores: [StoreID: Place]

  public init(heldFrom: WALPosition, timeline: TimelineID, landing: Place?, stores: [StoreID: Place]) {
    self.heldFrom = heldFrom
    self.timeline = timeline
    self.landing = landing
    self.stores = stores
  }
}

extension WALArchiver {
  /// Stores whose last answer was an error.
  public var failingStores: Set<StoreID> {
    queue.look { Set($0.stores.filter { $0.value.error != nil }.keys) }
  }

  /// Nil until the server has said how far it is, since the archiver began; of WAL that is only pushed always.
  public func reach() -> WALReach? {
    let receiver = state.look()
    guard let heldFrom = receiver.heldFrom else { return nil }
    let now = ContinuousClock.now
    return queue.look { queue -> WALReach? in
      func place(_ end: LSN?) -> WALReach.Place? {
        guard let end, let point = queue.clocks.point(at: end) else { return nil }
        return WALReach.Place(end: end, clock: point.clock, loss: max(.zero, now - point.moment))
      }
      var stores: [StoreID: WALReach.Place] = [:]
      for (store, state) in queue.stores { stores[store] = place(state.durable) }
      guard !queue.clocks.points.isEmpty else { return nil }
      let landing = receiver.isServerHere == false ? place(receiver.flushed) : nil
      return WALReach(
        heldFrom: heldFrom, timeline: receiver.timeline ?? heldFrom.timeline, landing: landing, stores: stores)
    }
  }
}
