internal import BackupModel
internal import BlockingWork
internal import JobState
import Synchronization

/// A run that has not ended: its record, and the way to end it.
final class LiveRun: Sendable {
  /// Why a run is cancelled.
  enum Reason: Sendable { case operatorAsked, deadline }

  private struct State {
    var record: RunRecord
    var reason: Reason?
    var lastTold = ContinuousClock.now
    var isEnded = false
  }
  let id: RunID
  let job: Job
  /// Whether it may take over what its predecessor made.
  let mayAdopt: Bool
  let trigger: RunTrigger
  let due: Timestamp
  /// Cancelled by an operator or the deadline; the daemon's stop cancels the task instead.
  let cancellation = Cancellation()
  private let state: Mutex<State>
  private let store: JobStateStore
  private let watch: RunWatch

  init(_ record: RunRecord, job: Job, mayAdopt: Bool, store: JobStateStore, watch: RunWatch) {
    self.mayAdopt = mayAdopt
    id = record.run
    self.job = job
    trigger = record.trigger
    due = record.due
    state = Mutex(State(record: record))
    self.store = store
    self.watch = watch
  }

  var record: RunRecord { state.withLock { $0.record } }
  var reason: Reason? { state.withLock { $0.reason } }

  /// The record as it ends; nil where it has ended before.
  func end() -> RunRecord? {
    state.withLock { state in
      if state.isEnded { return nil }
      state.isEnded = true
      return state.record
    }
  }

  func cancel(_ reason: Reason) {
    state.withLock { if $0.reason == nil { $0.reason = reason } }
    cancellation.cancel()
  }

  /// Changes the record, in memory and in its file, and tells followers.
  /// - Returns: The error where the file could not be written; the run goes on.
  @discardableResult
  func change(_ body: (inout RunRecord) -> Void) -> ErrorReport? {
    let changed = state.withLock { state -> RunRecord? in
      // One that was given up may still have something to say.
      if state.isEnded { return nil }
      body(&state.record)
      state.lastTold = .now
      return state.record
    }
    guard let record = changed else { return nil }
    watch.tell(record)
    do {
      try store.update(record)
      return nil
    } catch {
      return ErrorReport(error)
    }
  }

  /// Progress comes often; it is told at most five times a second, a new phase at once.
  func progress(_ progress: RunProgress) {
    let due = state.withLock { state in
      state.record.progress?.phase != progress.phase || ContinuousClock.now - state.lastTold > .milliseconds(200)
    }
    if due { change { $0.progress = progress } }
  }
}
