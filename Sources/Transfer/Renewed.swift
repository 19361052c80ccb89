internal import BackupModel
import Synchronization

/// What a server gives out for some time, such as keys and tokens: kept until shortly before it ends, or is refused.
final class Renewed<Value: Sendable>: Sendable {
  private let known = Mutex<Value?>(nil)
  private let margin: Duration
  private let end: @Sendable (Value) -> Timestamp?

  /// - Parameters:
  ///   - margin: A new one is there so long before the old one ends.
  ///   - end: Nil for what does not end.
  init(margin: Duration, _ end: @escaping @Sendable (Value) -> Timestamp?) {
    self.margin = margin
    self.end = end
  }

  /// - Parameter read: Gets a new one.
  /// - Throws: What `read` throws.
  func value(_ read: () throws -> Value) throws -> Value {
    let old = known.withLock { $0 }
    if let old, isGood(old, for: margin) { return old }
    do {
      let new = try read()
      known.withLock { $0 = new }
      return new
    } catch let error where !(error is CancellationError) {
      // Who gives them out may be away for a moment; what was refused is known no more.
      if let old, isGood(old, for: .zero) { return old }
      throw error
    }
  }

  /// It was refused: it may have ended, or been replaced.
  func forget() { known.withLock { $0 = nil } }

  private func isGood(_ value: Value, for time: Duration) -> Bool { end(value).map { $0 > .now() + time } ?? true }
}
