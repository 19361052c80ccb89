public import BackupModel
public import BlockingWork
internal import Dispatch
internal import Storage
import Synchronization

/// Keeps a prune from removing what its holder reads: `leases/<holder>/<n>`, renewed by a new object.
///
/// A holder that cannot renew within half of a lease's life, by the monotonic clock, cancels its work: from then on
/// somebody else might rightly think it dead.
///
/// - Note: `@unchecked Sendable`: the timer is set once before anyone else sees the lease; the rest lies in a mutex.
public final class Lease: @unchecked Sendable {
  public enum Purpose: String, Sendable, Codable { case backup, restore, prune }

  /// What a lease object says.
  struct Record: Sendable, Hashable, Codable {
    var format = 1
    var purpose: Purpose
    /// When the holder began.
    var taken: Timestamp
    /// When this object was written, and when it no longer counts.
    var renewed: Timestamp
    var expires: Timestamp
    /// Set by a holder that is done and may not delete: none of its objects counts any more.
    var ended: Bool?
  }

  static let life: Duration = .seconds(3600)

  private struct State {
    var number = 0
    /// The first object that may be there.
    var first = 1
    var renewed = ContinuousClock.now
    var failure: ErrorReport?
    var isLost = false
    var isReleased = false
  }

  public let holder: RandomID
  let purpose: Purpose
  private let repository: Repository
  private let lineage: Lineage
  private let cancellation: Cancellation
  private let now: @Sendable () -> Timestamp
  private let taken: Timestamp
  private let state = Mutex(State())
  private let queue: DispatchQueue
  private var timer: (any DispatchSourceTimer)?

  /// Takes a lease in every required store.
  /// - Parameter cancellation: Cancelled when the lease is lost.
  /// - Throws: `StorageError` where a store cannot be written.
  public init(
    _ purpose: Purpose, _ repository: Repository, _ lineage: Lineage, cancellation: Cancellation,
    now: @escaping @Sendable () -> Timestamp = { .now() }
  ) throws {
    self.purpose = purpose
    self.repository = repository
    self.lineage = lineage
    self.cancellation = cancellation
    self.now = now
    holder = RandomID.random()
    taken = now()
    queue = DispatchQueue(label: "io.backupd.lease.\(lineage.cluster)")
    do {
      try put()
    } catch {
      release(mayAppear: true)
      throw error
    }
    let timer = DispatchSource.makeTimerSource(queue: queue)
    let interval = Int(Self.life.components.seconds) / 6
    timer.schedule(deadline: .now() + .seconds(interval), repeating: .seconds(interval), leeway: .seconds(5))
    timer.setEventHandler { [weak self] in self?.renew() }
    timer.activate()
    self.timer = timer
  }

  /// Puts the next object into every required store, then takes the one before it away.
  private func put() throws {
    let number = state.withLock {
      $0.number += 1
      return $0.number
    }
    let moment = now()
    let record = Record(purpose: purpose, taken: taken, renewed: moment, expires: moment + Self.life)
    var held = 0
    var failure: (any Error)?
    for store in repository.required {
      do {
        try repository.putDocument(
          record, lineage.lease(holder, number), in: store,
          cancellation: purpose == .prune ? cancellation : Cancellation())
        held += 1
      } catch let error as StorageError where purpose != .prune {
        // A store that is away loses nothing: a prune asks all of them, and finds this in another.
        failure = error
      }
    }
    if held == 0, let failure { throw failure }
    state.withLock {
      $0.renewed = .now
      $0.failure = nil
    }
    do {
      try remove(upTo: number - 1)
      state.withLock { $0.first = number }
    } catch let error as StorageError {
      // Taken away with the next one, or it expires.
      if purpose == .prune, !error.isDeletionRefused { throw error }
    }
  }

  private func remove(upTo last: Int) throws {
    let first = state.withLock { $0.first }
    if first > last { return }
    var failure: (any Error)?
    for store in repository.required {
      do {
        for number in first...last { try store.objects.delete(lineage.lease(holder, number)) }
      } catch let error as StorageError {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  /// - Parameter moment: By the monotonic clock.
  func renew(at moment: ContinuousClock.Instant = .now) {
    if state.withLock({ $0.isReleased }) { return }
    do {
      try put()
    } catch {
      let isLost = state.withLock { state in
        state.failure = ErrorReport(error)
        if moment - state.renewed > Self.life / 2 { state.isLost = true }
        return state.isLost
      }
      if isLost { cancellation.cancel() }
    }
  }

  /// Whether the holder had to give up because of this lease.
  /// - Throws: ``RetentionError/leaseLost(_:cause:)``.
  public func check() throws {
    let (isLost, cause) = state.withLock { ($0.isLost, $0.failure) }
    if isLost { throw RetentionError.leaseLost(purpose.rawValue, cause: cause) }
  }

  /// Takes the lease back. What cannot be removed expires by itself; to this process it means nothing from now on.
  public func release() { release(mayAppear: false) }

  /// - Parameter mayAppear: A request was given up, which the store may obey after all that is asked here: what it then
  ///   holds must not count.
  private func release(mayAppear: Bool) {
    timer?.cancel()
    let number = state.withLock { state in
      state.isReleased = true
      return state.number
    }
    do {
      try queue.sync { try remove(upTo: number) }
      if mayAppear { queue.sync { tellEnd(number + 1) } }
    } catch {
      Self.left.withLock { _ = $0.insert(holder.description) }
      if (error as? StorageError)?.isDeletionRefused == true { queue.sync { tellEnd(number + 1) } }
    }
  }

  /// Says by one more object that the holder is done: prunes elsewhere need not wait until what is left expires.
  private func tellEnd(_ number: Int) {
    let moment = now()
    let record = Record(purpose: purpose, taken: taken, renewed: moment, expires: moment, ended: true)
    for store in repository.required {
      // A store that does not take it is one more hour in which nothing is pruned there.
      try? repository.putDocument(record, lineage.lease(holder, number), in: store, cancellation: Cancellation())
    }
  }

  /// Holders of this process that are done although their objects could not be removed: a store had become read-only.
  private static let left = Mutex<Set<String>>([])

  // MARK: Others' leases

  /// A lease some store holds that still counts.
  struct Live: Sendable {
    var holder: String
    /// Nil where the object cannot be read.
    var purpose: Purpose?
    var taken: Timestamp
    var store: StoreID
  }

  /// What an unreadable lease object counts for after it was written.
  private static let unreadableLife: Duration = .seconds(48 * 3600)

  /// Objects of holders that said that they are done, by place and holder. Nothing follows there, and where keys may not
  /// delete there are many: each is listed once.
  private static let done = Mutex<[String: [String: [ObjectName]]]>([:])

  /// Leases that count at a moment, and the objects of those that no longer do.
  static func list(
    _ repository: Repository, _ lineage: Lineage, at moment: Timestamp
  ) throws -> (live: [Live], expired: [(store: RepositoryStore, name: ObjectName)]) {
    var live: [Live] = []
    var expired: [(store: RepositoryStore, name: ObjectName)] = []
    for store in repository.required {
      let place = "\(store.objects.location) \(lineage.leasesPrefix)"
      let holders = Set(try store.objects.list(below: lineage.leasesPrefix).prefixes)
      let done = Self.done.withLock { done in
        done[place] = done[place]?.filter { holders.contains($0.key) }
        return done[place] ?? [:]
      }
      for holder in holders.sorted() {
        if let names = done[holder] {
          expired += names.map { (store, $0) }
          continue
        }
        let objects = try records(of: holder, repository, lineage, in: store, at: moment)
        let saysSo = objects.contains { $0.record?.ended == true }
        if saysSo { Self.done.withLock { $0[place, default: [:]][holder] = objects.map(\.object.name) } }
        let hasEnded = saysSo || left.withLock { $0.contains(holder) }
        for (object, record) in objects {
          let written = object.modified ?? record?.renewed ?? moment
          let end = record.map { max($0.expires, written + life) } ?? written + unreadableLife
          if end > moment, !hasEnded {
            live.append(
              Live(holder: holder, purpose: record?.purpose, taken: record?.taken ?? written, store: store.id))
          } else {
            expired.append((store, object.name))
          }
        }
      }
    }
    return (live, expired)
  }

  /// A holder's objects, with what those say that can be read. Of those that no longer count whatever they say nobody
  /// asks: where keys may not delete there are many.
  private static func records(
    of holder: String, _ repository: Repository, _ lineage: Lineage, in store: RepositoryStore, at moment: Timestamp
  ) throws -> [(object: Listing.Object, record: Record?)] {
    var found: [(Listing.Object, Record?)] = []
    for object in try store.objects.list(below: lineage.leasesPrefix + "/" + holder).objects {
      if let written = object.modified, written + unreadableLife <= moment {
        found.append((object, nil))
        continue
      }
      do {
        found.append((object, try repository.readDocument(Record.self, object.name)))
      } catch let error as StorageError where error.isMissing {
        continue
      } catch {
        found.append((object, nil))
      }
    }
    return found
  }
}
