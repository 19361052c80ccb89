import Synchronization

/// What was asked of one server, for run records: added up over its life.
public final class TransferCounters: Sendable {
  public struct Counts: Sendable, Hashable {
    public var requests = 0
    /// Requests that were made again.
    public var retries = 0
    public var sentBytes: Int64 = 0
    public var receivedBytes: Int64 = 0
    public init() {}
  }
  private let counts = Mutex(Counts())
  public init() {}

  public var now: Counts { counts.withLock { $0 } }
  func add(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }
}
