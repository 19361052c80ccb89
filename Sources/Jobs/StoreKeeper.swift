public import BackupModel
internal import BlockingWork
internal import JobState
internal import Logging
internal import Repository
import Synchronization

/// What is known of one store: `backupctl status`.
public struct StoreStatus: Sendable, Hashable {
  public var name: StoreID
  public var durability: String
  public var location: String
  /// What it lacks of what the others hold, as it was last seen; nil where it cannot be looked at.
  public var missingObjects: Int?
  public var missingBytes: Int64?
  /// Since when it lacks something, or could not be looked at; nil where it lacks nothing.
  public var behindSince: Timestamp?
  public var error: ErrorReport?
}

/// Fills one store from the others for as long as it is configured.
final class StoreKeeper: Sendable {
  /// Looked at so often also where nothing was heard of: others may have put something into a store.
  private static let idlePause: Duration = .seconds(600)
  /// Where something was left to who is about to put it there.
  private static let pause: Duration = .seconds(60)
  /// What comes in quick succession is copied together.
  private static let gathering: Duration = .seconds(2)
  private static let longestPause: Duration = .seconds(300)

  let store: RepositoryStore
  private let filler: StoreFiller
  private let news: StoreNews
  private let state: JobStateStore
  private let logger: Logger
  private let status: Mutex<StoreStatus>
  let cancellation = Cancellation()

  /// - Parameters:
  ///   - memory: Shared by the keepers of all stores.
  ///   - news: Told when a store has got something new.
  init?(
    _ store: RepositoryStore, of repository: Repository, rules: [ClusterID: RetentionRules], memory: FillMemory,
    news: StoreNews, state: JobStateStore, logger: Logger
  ) {
    guard let filler = StoreFiller(repository, store.id, rules: rules, memory: memory) else { return nil }
    self.store = store
    self.filler = filler
    self.news = news
    self.state = state
    var logger = logger
    logger[metadataKey: "store"] = "\(store.id)"
    self.logger = logger
    status = Mutex(
      StoreStatus(name: store.id, durability: store.durability.rawValue, location: store.objects.location))
  }

  var now: StoreStatus { status.withLock { $0 } }
  private var conditionID: String { "store:\(store.id)" }

  func run() async {
    let lane = Lane(label: "store.\(store.id)")
    do {
      try await lane.run { [self] inner in
        let outer = cancellation.addHandler { inner.cancel() }
        defer { cancellation.removeHandler(outer) }
        let handler = inner.addHandler { [news] in news.changed.raise() }
        defer { inner.removeHandler(handler) }
        try keep(inner)
      }
    } catch {
      // By cancellation only.
    }
    if cancellation.isCancelled { logger.attempt { try state.resolve(conditionID) } }
  }

  private func keep(_ cancellation: Cancellation) throws {
    var failures = 0
    while true {
      try cancellation.check()
      let before = news.now
      var pause = Self.idlePause
      do {
        if try look(cancellation) == .waits { pause = Self.pause }
        if failures > 0 { logger.notice("store works again") }
        failures = 0
        status.withLock { $0.error = nil }
        logger.attempt { try state.resolve(conditionID) }
      } catch let error as CancellationError {
        throw error
      } catch {
        try cancellation.check()
        failures += 1
        failed(ErrorReport(error), failures)
      }
      for warning in filler.reads.take() { logger.warning("\(warning)") }
      if failures > 0 {
        try cancellation.sleep(min(.seconds(1 << min(failures, 10)), Self.longestPause))
      } else {
        try wait(since: before, pause, cancellation)
      }
    }
  }

  /// One pass. A store that cannot be looked at lacks nobody knows what, for longer and longer.
  private func look(_ cancellation: Cancellation) throws -> StoreFiller.Outcome {
    let began = Timestamp.now()
    let isSeen = Mutex(false)
    do {
      return try filler.fill(cancellation: cancellation) { [self] lag in
        isSeen.withLock { $0 = true }
        status.withLock {
          $0.missingObjects = lag.objects
          $0.missingBytes = lag.bytes
          $0.behindSince = lag.objects == 0 ? nil : lag.since ?? $0.behindSince ?? began
        }
      }
    } catch {
      if !isSeen.withLock({ $0 }) {
        status.withLock {
          $0.missingObjects = nil
          $0.missingBytes = nil
          $0.behindSince = $0.behindSince ?? began
        }
      }
      throw error
    }
  }

  /// Until something is told that calls for a look, or the time is over.
  private func wait(since before: StoreNews.Counts, _ longest: Duration, _ cancellation: Cancellation) throws {
    let looked = ContinuousClock.now
    while true {
      try cancellation.check()
      let raised = news.changed.value
      let due = looked + min(longest, news.pause(for: store.durability, since: before) ?? longest)
      let left = due - .now
      if left <= .zero { break }
      news.changed.wait(after: raised, for: left)
    }
    try cancellation.sleep(Self.gathering)
  }

  private func failed(_ report: ErrorReport, _ failures: Int) {
    status.withLock { $0.error = report }
    logger.warning(
      "store not filled, trying again", metadata: ["attempt": "\(failures)", "error": "\(report)"])
    // That it does not answer at all is told already, and ends all the same.
    guard failures >= 4, !state.isRaised("store-unreachable:\(store.id)") else { return }
    logger.attempt {
      try state.raise(
        Condition(
          id: conditionID, severity: .warning, since: .now(),
          report: ErrorReport(
            summary: "store \"\(store.id)\" lags behind the others: \(report.summary)", detail: report.detail,
            hint: report.hint), store: store.id))
    }
  }
}

/// What was asked of the stores beyond this host so far.
struct RequestCounts: Sendable {
  private let counts: [StoreID: StoreRequests]

  init(_ repository: Repository) {
    counts = Dictionary(
      repository.allStores.compactMap { store in
        store.requests.map { (store.id, $0) }
      }, uniquingKeysWith: { $1 })
  }

  /// - Returns: Nil where there is no such store.
  func difference(to repository: Repository) -> [StoreRequests]? {
    let now = RequestCounts(repository).counts
    if now.isEmpty { return nil }
    return now.values.sorted { $0.store < $1.store }.map { after in
      guard let before = counts[after.store] else { return after }
      return StoreRequests(
        store: after.store, requests: after.requests - before.requests, retries: after.retries - before.retries,
        sentBytes: ByteCount(after.sentBytes.value - before.sentBytes.value),
        receivedBytes: ByteCount(after.receivedBytes.value - before.receivedBytes.value))
    }
  }
}
