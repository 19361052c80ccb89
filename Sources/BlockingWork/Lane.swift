import Dispatch
import Synchronization

/// A thread's worth of room for code that blocks in C calls, away from Swift's cooperative pool.
///
/// A serial Dispatch queue. A concurrent one shares libdispatch's root queue with Swift's pool: 64 blocking tasks on
/// one stalled every ordinary task for nine seconds.
public final class Lane: Sendable {
  private let queue: DispatchQueue

  /// - Parameter label: Seen in debuggers, e.g. `backup.worker-1`.
  public init(label: String) { queue = DispatchQueue(label: "io.backupd." + label) }

  func perform(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

  /// Runs code that may block, after whatever was given to this lane before. Cancelling the task cancels the
  /// ``Cancellation`` that the code gets.
  public func run<Result: Sendable>(
    _ body: @escaping @Sendable (Cancellation) throws -> Result
  ) async throws -> Result {
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        queue.async {
          continuation.resume(with: Swift.Result { try body(cancellation) })
        }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }
}

/// Runs several pieces of blocking code at once, each on a lane of its own, and waits for all of them.
///
/// The first that throws cancels the `cancellation` they share; its error is thrown when all have ended, so nothing
/// outlives the call.
/// - Parameter share: What they get of the host beside others.
/// - Note: Blocks the calling thread, which must be a lane's.
public func runTogether(
  _ cancellation: Cancellation, label: String, share: HostShare = .equal, _ bodies: [@Sendable () throws -> Void]
) throws {
  let failure = FirstFailure()
  let group = DispatchGroup()
  for (number, body) in bodies.enumerated() {
    let work: @Sendable () -> Void = {
      do {
        try body()
      } catch {
        failure.record(error)
        cancellation.cancel()
      }
    }
    let name = "io.backupd.\(label)-\(number)"
    switch share {
    case .equal: DispatchQueue(label: name).async(group: group, execute: work)
    case .leftOver: HostShare.runOnOwnThread(name, group, work)
    }
  }
  group.wait()
  if let error = failure.error { throw error }
}

/// Runs blocking code for each of several items, as many at once as there are lanes.
///
/// The first that throws ends the others at their next item, and its error is thrown; the caller's cancellation is left as
/// it is.
/// - Parameter body: Gets what cancels it: the caller's cancellation, or another item's failure.
/// - Note: Blocks the calling thread, which must be a lane's.
public func forEachTogether<Item: Sendable>(
  _ items: [Item], lanes: Int, _ cancellation: Cancellation, label: String,
  _ body: @escaping @Sendable (Item, Cancellation) throws -> Void
) throws {
  let inner = Cancellation()
  let handler = cancellation.addHandler { inner.cancel() }
  defer { cancellation.removeHandler(handler) }
  let next = Atomic<Int>(0)
  let work: @Sendable () throws -> Void = {
    while true {
      let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
      guard index < items.count else { return }
      try inner.check()
      try body(items[index], inner)
    }
  }
  try runTogether(inner, label: label, Array(repeating: work, count: min(lanes, items.count)))
}
