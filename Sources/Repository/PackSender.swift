internal import BackupModel
public import BlockingWork
public import Storage
import Synchronization

/// Carries finished objects to every store, each store through threads of its own.
///
/// A store that fails after its retries is left out of the rest of the run; the others go on. Buffers come from a
/// pool, so memory is the pool's size whatever the size of the backup.
final class PackSender: Sendable {
  private final class Outgoing: Sendable {
    let name: ObjectName
    let buffer: SealedBuffer
    let isPooled: Bool
    let isCheckpoint: Bool
    private let left: Mutex<Int>
    init(name: ObjectName, buffer: SealedBuffer, isPooled: Bool, isCheckpoint: Bool, stores: Int) {
      self.name = name
      self.buffer = buffer
      self.isPooled = isPooled
      self.isCheckpoint = isCheckpoint
      left = Mutex(stores)
    }
    /// Whether this was the last store.
    func isDone() -> Bool {
      left.withLock {
        $0 -= 1
        return $0 == 0
      }
    }
  }

  private struct State {
    var failures: [StoreID: ErrorReport] = [:]
    var storedBytes: Int64 = 0
    var written: [StoreID: [ObjectName]] = [:]
    /// How many of these a checkpoint in that store refers to, or is.
    var kept: [StoreID: Int] = [:]
  }

  /// What the threads of one store share.
  private final class Lanes: Sendable {
    let count: Int
    /// Held by the thread that takes the next object.
    let turn = Mutex(())
    let busy = Mutex(0)
    let freed = Signal()
    init(count: Int) { self.count = count }
  }

  private let stores: [RepositoryStore]
  private let lanes: [Lanes]
  private let rings: [BoundedRing<Outgoing>]
  private let pool: BoundedRing<SealedBuffer>
  private let state = Mutex(State())
  private let cancellation: Cancellation
  private let cancellationHandler: Int

  /// - Parameter unheard: Stores of which nobody knows what they hold: they take no part.
  init(
    stores: [RepositoryStore], unheard: [StoreID: ErrorReport], buffers: Int, cancellation: Cancellation
  ) throws {
    self.stores = stores
    // One buffer is being filled meanwhile.
    lanes = stores.map { Lanes(count: min(max(1, buffers - 1), $0.objects.parallelism)) }
    self.cancellation = cancellation
    let rings = stores.map { _ in BoundedRing<Outgoing>(capacity: buffers) }
    let pool = BoundedRing<SealedBuffer>(capacity: buffers)
    for _ in 0..<buffers { try pool.push(SealedBuffer(capacity: SealedFormat.maximumObject)) }
    self.rings = rings
    state.withLock { $0.failures = unheard }
    self.pool = pool
    cancellationHandler = cancellation.addHandler {
      pool.abort()
      for ring in rings { ring.abort() }
    }
  }

  deinit { cancellation.removeHandler(cancellationHandler) }

  /// An empty buffer; waits until one is free.
  func takeBuffer() throws -> SealedBuffer {
    guard let buffer = try pool.pop() else { throw CancellationError() }
    return buffer
  }

  /// Hands an object to every store's thread.
  /// - Parameters:
  ///   - pooled: Whether the buffer came from ``takeBuffer()`` and goes back there.
  ///   - isCheckpoint: Once it is stored, what went before it is not taken back.
  func send(_ name: ObjectName, _ buffer: SealedBuffer, pooled: Bool = true, isCheckpoint: Bool = false) throws {
    if !isCheckpoint { state.withLock { $0.storedBytes += Int64(buffer.count) } }
    let outgoing = Outgoing(
      name: name, buffer: buffer, isPooled: pooled, isCheckpoint: isCheckpoint, stores: stores.count)
    for ring in rings { try ring.push(outgoing) }
  }

  /// No more objects come.
  func close() { for ring in rings { ring.close() } }

  /// The work of the threads that carry objects; all are to run. Each ends when the sender is closed and all is stored.
  var bodies: [@Sendable () throws -> Void] {
    stores.indices.flatMap { index in
      Array(repeating: { @Sendable in try self.run(store: index) }, count: lanes[index].count)
    }
  }

  private func run(store index: Int) throws {
    while let outgoing = try take(store: index) {
      defer { end(store: index) }
      try carry(outgoing, to: stores[index])
    }
  }

  /// The next object for this thread. A checkpoint refers to what went before it: it waits until that is there.
  private func take(store index: Int) throws -> Outgoing? {
    let lanes = lanes[index]
    return try lanes.turn.withLock { _ in
      while let outgoing = try rings[index].pop() {
        if outgoing.isCheckpoint {
          _ = try lanes.freed.wait(cancellation) { lanes.busy.withLock { $0 == 0 ? true : nil } }
          try carry(outgoing, to: stores[index])
        } else {
          lanes.busy.withLock { $0 += 1 }
          return outgoing
        }
      }
      return nil
    }
  }

  private func end(store index: Int) {
    lanes[index].busy.withLock { $0 -= 1 }
    lanes[index].freed.raise()
  }

  private func carry(_ outgoing: Outgoing, to store: RepositoryStore) throws {
    let failed = state.withLock { $0.failures[store.id] != nil }
    if !failed {
      // Noted first: a put that reports failure may have stored it all the same.
      state.withLock { $0.written[store.id, default: []].append(outgoing.name) }
      do {
        try StoreWriter.put(outgoing.name, outgoing.buffer.bytes, in: store, cancellation: cancellation)
        if outgoing.isCheckpoint { state.withLock { $0.kept[store.id] = $0.written[store.id]?.count } }
      } catch let error as CancellationError {
        throw error
      } catch {
        let allFailed = state.withLock {
          $0.failures[store.id] = ErrorReport(error)
          return $0.failures.count == stores.count
        }
        if allFailed { throw error }
      }
    }
    if outgoing.isDone(), outgoing.isPooled { try pool.push(outgoing.buffer) }
  }

  var storedBytes: Int64 { state.withLock { $0.storedBytes } }
  /// Stores that do not hold everything, and why.
  var failures: [StoreID: ErrorReport] { state.withLock { $0.failures } }

  /// A manifest that refers to what this store holds may be there: nothing is taken back from it.
  func keepWritten(in store: StoreID) { state.withLock { $0.written[store] = nil } }

  /// Takes back what this run stored and neither manifest nor checkpoint refers to.
  func removeWritten() {
    let (written, kept) = state.withLock { ($0.written, $0.kept) }
    for (store, all) in written {
      let names = all.dropFirst(kept[store] ?? 0)
      guard let objects = stores.first(where: { $0.id == store })?.objects else { continue }
      // The run has failed already and its error is what the operator sees; what stays is unreferenced.
      for name in names { try? objects.delete(name) }
    }
  }
}

/// Puts objects with a few retries.
public enum StoreWriter {
  static let delays: [Duration] = [.milliseconds(200), .seconds(1), .seconds(3)]

  /// Puts an object, trying again where that may help. Durable on return.
  ///
  /// A name that is taken is fine where the bytes are the same: an earlier attempt was stored though it reported
  /// failure.
  public static func put(
    _ name: ObjectName, _ bytes: UnsafeRawBufferPointer, in store: RepositoryStore, cancellation: Cancellation
  ) throws {
    var attempt = 0
    while true {
      do {
        return try store.objects.put(name, bytes, cancellation: cancellation)
      } catch StorageError.alreadyExists(let name, let location) {
        if try store.objects.size(of: name) == Int64(bytes.count) {
          do {
            let existing = try store.objects.readAll(name, limit: Int64(bytes.count))
            if existing.withUnsafeBytes({ $0.elementsEqual(bytes) }) { return }
          } catch let error as StorageError where error.isFrozen {
            // A pack, whose name was drawn at random: nobody else has put one of that name and size.
            return
          }
        }
        throw StorageError.alreadyExists(name, in: location)
      } catch let error as StorageError where error.retryMayHelp && attempt < delays.count {
        try cancellation.sleep(delays[attempt])
        attempt += 1
      }
    }
  }
}
