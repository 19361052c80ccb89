internal import BackupModel
internal import BlockingWork
internal import Storage
import Synchronization

extension StorePrune {
  /// Objects deleted before it is asked again whether this prune may go on.
  private static let batch = 1000
  /// Locks and times asked for at once.
  private static let lanes = 8

  /// Keys that may not delete are a fact and no failure: it is said once, and what would go waits.
  /// - Parameter name: In the report; nil reports the objects as a group.
  /// - Returns: Whether they are gone, or would be.
  @discardableResult
  func remove(_ names: [ObjectName], _ kind: String, _ name: String?, bytes: Int64, _ reason: String) throws -> Bool {
    if names.isEmpty { return true }
    do {
      if !run.isDry, report.refusal == nil {
        for start in stride(from: 0, to: names.count, by: Self.batch) {
          try run.check()
          try store.objects.delete(Array(names[start..<min(start + Self.batch, names.count)]))
        }
      }
    } catch let error as StorageError where error.isDeletionRefused {
      report.refusal = ErrorReport(error)
    }
    if report.refusal != nil {
      report.add(.wait, kind, name, count: names.count, bytes: bytes, "\(reason); the store's keys may not delete")
      return false
    }
    report.add(.remove, kind, name, count: names.count, bytes: bytes, reason)
    return true
  }

  /// Those that no lock holds; of the others the report says until when. A bucket would hide them all the same, and they
  /// would take room unseen.
  func unlocked(_ objects: [Listing.Object], _ kind: String, _ name: String?) throws -> [Listing.Object] {
    guard let locks = store.objects.locks, !objects.isEmpty else { return objects }
    let ends = try lockEnds(objects.map(\.name), locks)
    let locked = objects.filter { ends[$0.name] != nil }
    if let first = ends.values.min(), let last = ends.values.max() {
      report.add(
        .wait, kind, name, count: locked.count, bytes: locked.reduce(0) { $0 + $1.size },
        first == last ? "locked until \(last)" : "locked, the first until \(first), the last until \(last)")
    }
    return objects.filter { ends[$0.name] == nil }
  }

  /// The same objects, with the times of those that may go where the store does not list times. What it does not tell at
  /// all stays unknown, which is never taken for old.
  func dated(
    _ objects: [Listing.Object], where mayGo: (Listing.Object) -> Bool = { _ in true }
  ) throws -> [Listing.Object] {
    let undated = objects.filter { $0.modified == nil && mayGo($0) }.map(\.name)
    if undated.isEmpty { return objects }
    let times = Mutex<[ObjectName: Timestamp]>([:])
    let store = store.objects
    try forEachTogether(undated, lanes: Self.lanes, run.cancellation, label: "times.\(self.store.id)") { name, _ in
      if let time = try store.modified(of: name) { times.withLock { $0[name] = time } }
    }
    let found = times.withLock { $0 }
    return objects.map { object in
      var object = object
      object.modified = object.modified ?? found[object.name]
      return object
    }
  }

  /// Ends of the locks that hold now.
  private func lockEnds(_ names: [ObjectName], _ locks: any ObjectLocks) throws -> [ObjectName: Timestamp] {
    let ends = Mutex<[ObjectName: Timestamp]>([:])
    let now = run.now
    try forEachTogether(names, lanes: Self.lanes, run.cancellation, label: "locks.\(store.id)") { name, _ in
      do {
        if let end = try locks.end(of: name, after: now), end > now { ends.withLock { $0[name] = end } }
      } catch let error as StorageError where error.isMissing {
        // Somebody else removed it.
      }
    }
    return ends.withLock { $0 }
  }
}
