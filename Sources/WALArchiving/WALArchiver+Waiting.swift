public import BackupModel
public import BlockingWork
public import Repository

/// What a base backup asks of the WAL road.
extension WALArchiver {
  /// Waits until WAL streams.
  /// - Returns: From where on WAL is held without a hole: a backup that starts behind it can be restored.
  /// - Throws: ``WALArchivingError/notStreaming(_:cause:)`` when the time is over, `CancellationError`.
  public func waitUntilStreaming(cancellation: Cancellation, timeout: Duration) throws -> WALPosition {
    let found = try queue.changed.wait(cancellation, timeout) { () -> WALPosition? in
      let values = self.state.look()
      return values.phase == "streaming" ? values.heldFrom : nil
    }
    guard let found else { throw WALArchivingError.notStreaming(options.cluster, cause: state.look().error) }
    return found
  }

  /// Waits until every required store holds the WAL up to a position, shipping the open segment at once where that is
  /// needed; or until one holds it and the others have failed several times, or refuse something.
  ///
  /// - Returns: Those that lack it, and why.
  /// - Throws: ``WALArchivingError/notStored(_:reached:cause:)`` when the time is over, ``WALArchivingError/walLost``
  ///   where it can never be, `CancellationError`.
  public func waitUntilStored(through position: WALPosition, cancellation: Cancellation, timeout: Duration) throws
    -> [StoreID: ErrorReport]
  {
    queue.change { $0.wanted = max($0.wanted ?? position.lsn, position.lsn) }
    defer { queue.change { if let wanted = $0.wanted, wanted <= position.lsn { $0.wanted = nil } } }
    let required = repository.stores.filter { $0.durability == .required }.map(\.id)
    let done = try queue.changed.wait(cancellation, timeout) { () -> [StoreID: ErrorReport]? in
      self.queue.look { queue in
        let lacking = required.filter { !(queue.stores[$0]?.durable.map { $0 >= position.lsn } ?? false) }
        if lacking.isEmpty { return [:] }
        guard lacking.count < required.count else { return nil }
        let failing = lacking.filter { (queue.stores[$0]?.failures ?? 0) >= Self.givingUp || queue.refuses($0) }
        guard failing == lacking else { return nil }
        return Dictionary(uniqueKeysWithValues: failing.compactMap { id in queue.stores[id]?.error.map { (id, $0) } })
      }
    }
    if let done { return done }
    let reached = queue.look { queue in
      Dictionary(required.map { ($0, queue.stores[$0]?.durable) }, uniquingKeysWith: { $1 })
    }
    let cause = status().error
    throw WALArchivingError.notStored(position, reached: reached, cause: cause)
  }

  /// A backup does not wait for a store that has failed so often in a row.
  private static let givingUp = 3

  /// Proves that every required store holds all WAL from one position to another, by asking the stores.
  ///
  /// - Parameter failures: Stores that are known to lack some.
  /// - Throws: ``WALArchivingError/walLost(first:end:)`` for a hole; what the stores throw.
  public func proveStored(
    from start: WALPosition, through end: LSN, of lineage: Lineage, without failures: [StoreID: ErrorReport] = [:]
  ) throws {
    let catalog = try WALCatalog(repository, lineage, segmentSize: queue.look { $0.size })
    for store in repository.required where failures[store.id] == nil {
      if let failure = catalog.failures[store.id] {
        throw RepositoryError.unavailable(lineage.gap(.random()), [store.id: failure])
      }
      let reached = catalog.coverage(from: start, in: store.id)
      guard reached >= end else {
        throw WALArchivingError.walLost(first: WALPosition(timeline: start.timeline, lsn: reached), end: end)
      }
    }
  }
}
