import Synchronization

/// The newest text, put up by one task and read by the listener's thread.
public final class MetricsBoard: Sendable {
  private struct State {
    var text = ""
    var isAskedFor = false
  }
  private let state = Mutex(State())

  public init() {}

  /// Whether a listener hands it out.
  public var isAskedFor: Bool { state.withLock { $0.isAskedFor } }
  public var text: String { state.withLock { $0.text } }
  public func set(_ text: String) { state.withLock { $0.text = text } }
  func ask() { state.withLock { $0.isAskedFor = true } }
}
