public import BackupModel
public import BlockingWork
internal import DurableFiles
internal import Postgres
public import Repository
import Synchronization

/// Keeps the WAL of one cluster: receives it into the landing directory, ships it to the stores, says how far it is.
///
/// One for each wal job, and one for the length of a physical backup of a cluster that has no wal job
/// (``SlotLifetime/temporary``).
public final class WALArchiver: Sendable {
  public enum SlotLifetime: Sendable, Hashable {
    case permanent
    /// The slot lives as long as the connection. What an earlier run left in the landing directory is forgotten.
    case temporary
  }

  public struct Options: Sendable {
    public var cluster: ClusterID
    /// A libpq connection string.
    public var connection: String
    public var slot: String
    public var slotLifetime: SlotLifetime
    /// `<state>/wal/<cluster>`: made where it is missing. No two archivers may share it.
    public var landingDirectory: String
    /// The open segment is shipped this often, where it has new records.
    public var partialInterval: Duration
    /// Segments sealed and stored at once in each store; each costs memory of one.
    public var lanes: Int
    /// Whether WAL is streamed. Where it is not, what `archive_command` pushes is all there is.
    public var streams = true
    /// Whether a pushed file is acknowledged only when every store holds it, not when it is landed.
    public var waitsForStores = false
    /// Whether the slot is dropped, and WAL lost, before the server's disk is full because the landing directory is.
    public var dropsSlot = false
    /// The server's data directory where it is on this host: its free space is watched.
    public var serverDirectory: String?
    /// How often the space left is looked at.
    public var watchInterval: Duration = .seconds(15)
    /// Whether the server's commits wait for what is acknowledged here.
    public var isSynchronous = false

    public init(
      cluster: ClusterID, connection: String, slot: String? = nil, slotLifetime: SlotLifetime = .permanent,
      landingDirectory: String, partialInterval: Duration = .seconds(10), lanes: Int = 2
    ) {
      self.cluster = cluster
      self.connection = connection
      self.slot = slot ?? Self.defaultSlot(of: cluster)
      self.slotLifetime = slotLifetime
      self.landingDirectory = landingDirectory
      self.partialInterval = partialInterval
      self.lanes = lanes
    }

    /// `backupd_<cluster>`; a slot's name has no `-`.
    public static func defaultSlot(of cluster: ClusterID) -> String {
      "backupd_" + String(cluster.rawValue.map { $0 == "-" ? "_" : $0 })
    }
  }

  let options: Options
  let repository: Repository
  private let accept: @Sendable (SystemIdentifier) throws -> Lineage
  private let observe: @Sendable (WALEvent) -> Void
  let queue: ShippingQueue
  let state: ReceiverState
  private let shipper = Mutex<WALShipper?>(nil)
  private let space: LandingSpace
  private let pushPlace: PushPlace
  private let pusher: WALPusher

  /// - Parameters:
  ///   - accept: The lineage for a system identifier; throws where the repository's is another. Nil takes the
  ///     cluster's current lineage, or begins its first.
  ///   - observe: Called on the archiver's threads; must not block.
  public init(
    _ options: Options, repository: Repository, accept: (@Sendable (SystemIdentifier) throws -> Lineage)? = nil,
    observe: @escaping @Sendable (WALEvent) -> Void = { _ in }
  ) {
    self.options = options
    self.repository = repository
    self.observe = observe
    let accept: @Sendable (SystemIdentifier) throws -> Lineage =
      accept ?? { identifier in
        let lineage = Lineage(cluster: options.cluster, systemIdentifier: identifier)
        do {
          try repository.requireCurrent(lineage)
        } catch RepositoryError.systemIdentifierDiffers(let cluster, let known, let server) {
          throw WALArchivingError.foreignSystemIdentifier(cluster, expected: known, found: server)
        }
        return lineage
      }
    queue = ShippingQueue(stores: repository.required.map(\.id), interval: options.partialInterval)
    state = ReceiverState(changed: queue.changed)
    self.accept = accept
    let queue = self.queue
    space = LandingSpace(options.landingDirectory)
    let place = PushPlace(options, queue: queue, receiver: state, accept: accept) { lineage, size, landing in
      WALShipper(
        repository: repository, lineage: lineage, size: size, landing: landing, queue: queue, observe: observe)
    }
    pushPlace = place
    pusher = WALPusher(
      repository: repository, queue: queue, waitsForStores: options.waitsForStores,
      place: { try place.find($0, $1) }, landed: { try place.took($0, $1) })
  }

  /// Takes a file that PostgreSQL's archiver hands over: `archive_command`.
  ///
  /// - Parameter path: Absolute: a segment, a `.history`, `.partial` or `.backup` file below the server's `pg_wal`.
  /// - Throws: ``WALArchivingError``; `FileError` where it cannot be read; `CancellationError`. The server keeps the
  ///   file then, and asks again.
  /// - Note: Blocks; call it on a lane, any number at once.
  public func push(_ path: String, _ cancellation: Cancellation) throws { try pusher.push(path, cancellation) }

  /// Receives and ships until cancelled.
  ///
  /// - Throws: `CancellationError`; ``WALArchivingError`` where only a person can make it go on. Everything else is
  ///   tried again, and told to the observer.
  /// - Note: Blocks; call it on a lane. Once only.
  public func run(_ cancellation: Cancellation) throws {
    let landing = try LandingDirectory(options.landingDirectory)
    // A run that still waits for WAL or a status may hold this archiver long after: its successor needs the lock now.
    defer {
      pushPlace.use(nil)
      landing.unlock()
    }
    if options.slotLifetime == .temporary { try landing.empty() }
    if options.isSynchronous { observe(.landingProbed(try DiskProbe.probe(options.landingDirectory))) }
    pushPlace.use(landing)
    while true {
      do {
        try runLineage(landing, cancellation)
        return
      } catch is LineageLeft {
        try landing.empty()
        shipper.withLock { $0 = nil }
        pushPlace.use(landing)
        queue.reset()
        state.change { $0 = .init() }
      }
    }
  }

  private func runLineage(_ landing: LandingDirectory, _ outer: Cancellation) throws {
    // The end of a lineage ends the lanes, and not what may come after.
    let cancellation = Cancellation()
    let handler = outer.addHandler { cancellation.cancel() }
    defer { outer.removeHandler(handler) }
    var bodies: [@Sendable () throws -> Void] = [
      { try self.options.streams ? self.receive(landing, cancellation) : self.keep(landing, cancellation) }
    ]
    for store in repository.required {
      for _ in 0..<max(1, options.lanes) {
        bodies.append { try self.waitForShipper(cancellation).run(store, cancellation) }
      }
    }
    if options.slotLifetime == .permanent {
      // More of them than there are cores for long: each waits a good part of its time for a disk.
      for _ in 0..<max(1, 2 * options.lanes) { bodies.append { try self.pusher.run(cancellation) } }
      let watch = BacklogWatch(options, space: space, state: state, observe: observe)
      bodies.append { try watch.run(cancellation) }
    }
    try runTogether(cancellation, label: "wal.\(options.cluster)", bodies)
  }

  /// Lanes have something to do once it is known whose WAL this is.
  private func waitForShipper(_ cancellation: Cancellation) throws -> WALShipper {
    let found = try queue.changed.wait(cancellation) { shipper.withLock { $0 } ?? pushPlace.shipper }
    guard let found else { preconditionFailure("waited for ever, and no longer") }
    return found
  }

  /// Where nothing is streamed: ships what was landed before, until cancelled.
  private func keep(_ landing: LandingDirectory, _ cancellation: Cancellation) throws {
    try pushPlace.resume(landing, of: repository)
    while true { try cancellation.sleep(.seconds(3600)) }
  }

  private func receive(_ landing: LandingDirectory, _ cancellation: Cancellation) throws {
    let session = ReceiverSessions(
      options: options, repository: repository, accept: accept, landing: landing, space: space, queue: queue,
      state: state, observe: observe
    ) { lineage, size in
      let shipper = WALShipper(
        repository: self.repository, lineage: lineage, size: size, landing: landing, queue: self.queue,
        observe: self.observe)
      self.shipper.withLock { $0 = shipper }
      self.pushPlace.set(WALPusher.Place(landing: landing, lineage: lineage, size: size, shipper: shipper))
      self.queue.changed.raise()
    }
    var attempts = 0
    while true {
      try cancellation.check()
      let before = state.look().flushed
      do {
        try session.run(cancellation)
      } catch let error as CancellationError {
        state.change { $0.phase = "stopped" }
        throw error
      } catch let error as LineageLeft {
        throw error
      } catch {
        // An error that our own cancellation caused is no failure.
        try cancellation.check()
        let report = ErrorReport(error)
        if Self.isFinal(error) {
          state.change {
            $0.phase = "stopped"
            $0.error = report
          }
          observe(.receivingStopped(report))
          throw error
        }
        attempts = state.look().flushed == before ? attempts + 1 : 1
        let delay = Backoff.delay(attempt: attempts)
        state.change {
          $0.phase = "waiting"
          $0.error = report
        }
        observe(
          .receivingFailed(
            report, serverAnswers: !Self.isAway(error), attempts: attempts, retryAfter: delay))
        try cancellation.sleep(delay)
        state.change { $0.phase = "connecting" }
      }
    }
  }

  private static func isAway(_ error: any Error) -> Bool {
    switch error {
    case PostgresError.serverAway, PostgresError.serverNotReady, PostgresError.connectionLost,
      PostgresError.serverShutDown:
      true
    default: false
    }
  }

  /// Whether only a person can make it go on.
  private static func isFinal(_ error: any Error) -> Bool {
    switch error {
    case let error as WALArchivingError: error.isFinal
    case RepositoryError.systemIdentifierDiffers, RepositoryError.formatUnknown: true
    default: false
    }
  }

  /// Whether the loop that reads the stream has not turned for so long: it waits for a disk, or is wedged. The server's
  /// silence does not hold it up.
  public func isStalled(for limit: Duration) -> Bool {
    state.look().phase == "streaming" && state.heartbeat.age > limit
  }

  /// What `wal status` shows. May be called at any time from any thread.
  public func status() -> WALStatus {
    let receiver = state.look()
    var status = WALStatus(cluster: options.cluster, slot: options.slot, state: receiver.phase)
    status.systemIdentifier = receiver.systemIdentifier
    status.timeline = receiver.timeline
    status.receivedLSN = receiver.received
    status.flushedLSN = receiver.flushed
    status.serverLSN = receiver.serverEnd
    status.lastMessage = receiver.lastMessage
    status.error = receiver.error
    status.bytesPerSecond = receiver.bytesPerSecond
    status.commitsWait = receiver.commitsWait
    status.losesNothing = receiver.losesNothing
    let names = queue.stores
    queue.look { queue in
      status.stores = names.map {
        WALStatus.Store(name: $0, durableLSN: queue.stores[$0]?.durable, lagSeconds: queue.lagSeconds($0))
      }
      status.queuedSegments = queue.items.count { if case .segment = $0.shipment { true } else { false } }
      if status.error == nil { status.error = names.compactMap { queue.stores[$0]?.error }.first }
    }
    return status
  }
}
