internal import BackupModel
internal import BlockingWork
internal import Repository
internal import Storage
import Synchronization

/// Which packs can be read by now, and the wait for those that cannot.
///
/// The store is asked seldom and for few at a time: those that are needed next.
final class ThawWait: Sendable {
  private struct State {
    var waiting: [PackID: Int64]
    var pause: Duration = .seconds(1)
    var lastLook: ContinuousClock.Instant?
    /// Since when the store has not answered.
    var silentSince: ContinuousClock.Instant?
  }
  /// Thawing takes hours, and what is written by then is worth waiting for the store to come back.
  private static let patience: Duration = .seconds(3600)
  /// Asked for at most in one look.
  private static let sample = 256

  private let plan: ThawPlan
  private let longest: Duration
  private let total: Int64
  private let state: Mutex<State>
  private let observe: @Sendable (RunProgress) -> Void

  init(_ plan: ThawPlan, observe: @escaping @Sendable (RunProgress) -> Void) {
    self.plan = plan
    self.observe = observe
    longest = plan.tier == .expedited ? .seconds(30) : .seconds(300)
    let soon = Set(plan.frozen.map(\.id))
    let waiting = plan.packs.filter { !$0.state.isReadable || soon.contains($0.id) }
    total = plan.packs.reduce(0) { $0 + $1.bytes }
    state = Mutex(State(waiting: Dictionary(waiting.map { ($0.id, $0.bytes) }, uniquingKeysWith: { $1 })))
  }

  func isReady(_ pack: PackID) -> Bool { state.withLock { $0.waiting[pack] == nil } }

  /// Whether it is time to look again.
  var isLookDue: Bool {
    state.withLock { state in state.lastLook.map { .now - $0 >= state.pause } ?? true }
  }

  /// Waits until it is time, then asks how the first of some packs are.
  /// - Parameter packs: In the order in which they are needed.
  func look(at packs: [PackID], _ cancellation: Cancellation) throws {
    let (asked, rest) = state.withLock { state -> ([PackID], Duration) in
      var seen: Set<PackID> = []
      let asked = packs.filter { state.waiting[$0] != nil && seen.insert($0).inserted }.prefix(Self.sample)
      return (Array(asked), state.lastLook.map { max(.zero, state.pause - (.now - $0)) } ?? .zero)
    }
    if asked.isEmpty { return }
    try cancellation.sleep(rest)
    guard let states = try states(of: asked, cancellation) else { return }
    let ready = states.filter(\.value.isReadable).map(\.key)
    state.withLock { state in
      for pack in ready { state.waiting[pack] = nil }
      (state.lastLook, state.silentSince) = (.now, nil)
      // While all that are asked for are there, so are probably the next ones.
      if ready.count == asked.count {
        state.lastLook = nil
      } else if ready.isEmpty {
        state.pause = min(state.pause * 2, longest)
      }
    }
    tell()
  }

  /// - Returns: Nil where the store does not answer for now.
  private func states(of packs: [PackID], _ cancellation: Cancellation) throws -> [PackID: ThawState]? {
    do {
      let states = try ThawPlan.states(of: packs, in: plan.objects, plan.lineage, cancellation)
      for (pack, found) in states where found == .frozen {
        // Its days were over, or the asking was lost.
        try plan.objects.thaw(plan.lineage.pack(pack), days: ThawPlan.days, tier: plan.tier)
      }
      return states
    } catch let error as StorageError where error.retryMayHelp {
      let silent = state.withLock { state in
        let since = state.silentSince ?? .now
        (state.lastLook, state.silentSince) = (.now, since)
        state.pause = min(state.pause * 2, longest)
        return ContinuousClock.now - since
      }
      if silent > Self.patience { throw error }
      tell("thaw (the store does not answer)")
      return nil
    }
  }

  /// Waits for all of them.
  func wait(for packs: [PackID], _ cancellation: Cancellation) throws {
    while packs.contains(where: { !isReady($0) }) { try look(at: packs, cancellation) }
  }

  private func tell(_ phase: String = "thaw") {
    let left = state.withLock { $0.waiting.values.reduce(0, +) }
    observe(RunProgress(phase: phase, doneBytes: ByteCount(total - left), totalBytes: ByteCount(total)))
  }
}

/// Hands tasks on as their packs thaw: what can be read overtakes what cannot, as far as memory allows. Used by one thread.
final class ThawedTasks {
  /// Tasks that wait; each refers to 16 MiB of files at most.
  private static let capacity = 4096

  private let thaw: ThawWait?
  private let cancellation: Cancellation
  private let body: (PackTask) throws -> Void
  private var waiting: [PackTask] = []

  /// - Parameter thaw: Nil where nothing is cold.
  init(_ thaw: ThawWait?, _ cancellation: Cancellation, _ body: @escaping (PackTask) throws -> Void) {
    self.thaw = thaw
    self.cancellation = cancellation
    self.body = body
  }

  func push(_ task: PackTask) throws {
    guard let thaw else { return try body(task) }
    if thaw.isReady(task.pack) {
      try body(task)
    } else {
      waiting.append(task)
    }
    while !waiting.isEmpty, waiting.count >= Self.capacity || thaw.isLookDue { try look(thaw) }
  }

  func finish() throws {
    guard let thaw else { return }
    while !waiting.isEmpty { try look(thaw) }
  }

  private func look(_ thaw: ThawWait) throws {
    try thaw.look(at: waiting.map(\.pack), cancellation)
    let ready = waiting.filter { thaw.isReady($0.pack) }
    waiting.removeAll { thaw.isReady($0.pack) }
    for task in ready { try body(task) }
  }
}
