internal import BlockingWork
internal import Synchronization

/// One writer at a time for each name.
final class NameLocks: Sendable {
  private let held = Mutex<Set<String>>([])
  private let freed = Signal()

  func holding<Result>(_ name: String, _ body: () throws -> Result) throws -> Result {
    _ = try freed.wait(Cancellation()) { held.withLock { $0.insert(name).inserted ? true : nil } }
    defer {
      held.withLock { _ = $0.remove(name) }
      freed.raise()
    }
    return try body()
  }
}
