internal import BackupModel
import Synchronization

/// What fails while WAL is received and stored, and since when: what lasts is told, also between two attempts, which may
/// lie half a minute apart.
final class WALTroubles: Sendable {
  /// Whoever asks servers and stores whether they are there has told by then: it asks every 30 seconds, and waits for ten.
  static let patience: Duration = .seconds(42)
  /// Nobody else tells of a server that is there and gives no WAL; the first failures of a restart are everyday.
  static let serverPatience: Duration = .seconds(30)

  private struct Trouble {
    var since: ContinuousClock.Instant
    var patience: Duration
    var condition: Condition
    var isTold = false

    var lasts: Bool { .now - since >= patience }
  }
  private let troubles = Mutex<[String: Trouble]>([:])
  private let began: AsyncStream<Void>
  private let beganInput: AsyncStream<Void>.Continuation

  init() { (began, beganInput) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

  /// It failed once more.
  /// - Returns: Whether it fails for so long now that somebody must know.
  func failed(_ condition: Condition, patience: Duration) -> Bool {
    let (isNew, lasts) = troubles.withLock { troubles in
      let old = troubles[condition.id]
      var trouble = Trouble(since: old?.since ?? .now, patience: patience, condition: condition)
      trouble.isTold = trouble.lasts
      troubles[condition.id] = trouble
      return (old == nil, trouble.isTold)
    }
    if isNew { beganInput.yield() }
    return lasts
  }

  /// - Returns: Whether it had failed.
  @discardableResult
  func ended(_ id: String) -> Bool { troubles.withLock { $0.removeValue(forKey: id) != nil } }

  /// Tells what lasts, until cancelled. What has ended meanwhile is not told: ``ended(_:)`` waits for the teller.
  func tell(_ tell: (Condition) -> Void) async {
    for await _ in began {
      while takeLasting(tell) {
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
      }
    }
  }

  /// - Returns: Whether something is there that was not told yet.
  private func takeLasting(_ tell: (Condition) -> Void) -> Bool {
    troubles.withLock { troubles in
      for (id, trouble) in troubles where !trouble.isTold && trouble.lasts {
        tell(trouble.condition)
        troubles[id]?.isTold = true
      }
      return troubles.values.contains { !$0.isTold }
    }
  }
}
