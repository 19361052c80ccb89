internal import BackupModel
internal import Synchronization

/// Where probes leave their answers. One that hangs holds up nobody: it is asked again once it has come back.
final class Board<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Entry {
    /// When it was asked; nil where it is not being asked.
    var asked: ContinuousClock.Instant?
    var answer: Answer<Value> = .none
    var answered: ContinuousClock.Instant?
  }
  private let entries = Mutex<[Key: Entry]>([:])

  /// - Parameter interval: An answer that is younger is good enough.
  /// - Returns: Whether the caller is to ask now.
  func begin(_ key: Key, every interval: Duration = .zero) -> Bool {
    entries.withLock { entries in
      let entry = entries[key] ?? Entry()
      if entry.asked != nil { return false }
      if let answered = entry.answered, ContinuousClock.now - answered < interval { return false }
      entries[key, default: Entry()].asked = .now
      return true
    }
  }

  func end(_ key: Key, _ answer: Answer<Value>) {
    entries.withLock { $0[key] = Entry(asked: nil, answer: answer, answered: .now) }
  }

  /// The last answer of what is asked for the first time again.
  func forget(_ key: Key) { entries.withLock { $0[key]?.answered = nil } }

  /// - Parameter patience: Who has not answered for longer is silent.
  func look(_ key: Key, patience: Duration) -> Answer<Value> {
    entries.withLock { entries in
      guard let entry = entries[key] else { return .none }
      if let asked = entry.asked, ContinuousClock.now - asked >= patience {
        return .silent(ContinuousClock.now - asked)
      }
      return entry.answer
    }
  }

  /// Whether somebody is being asked who may still answer in time.
  func isWaiting(patience: Duration) -> Bool {
    entries.withLock { $0.values.contains { $0.asked.map { ContinuousClock.now - $0 < patience } ?? false } }
  }
}
