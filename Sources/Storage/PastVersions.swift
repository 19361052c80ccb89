internal import BackupModel
internal import BlockingWork
internal import Synchronization
internal import Transfer

/// What is known of names in a bucket as it was at a moment.
final class PastVersions<Version: Sendable>: Sendable {
  private let versions = Mutex<[ObjectName: Version?]>([:])

  /// Nil inside for one that was not there; nil for one of which nothing is known.
  func version(of name: ObjectName) -> Version?? { versions.withLock { $0[name] } }
  func note(_ name: ObjectName, _ version: Version?) { versions.withLock { $0[name] = .some(version) } }
}

/// How far hidden versions of one object are sought: who may write can hide an object under as many as they like.
enum HiddenVersionLimits {
  /// What was put first is ours.
  static let versions = 8
  static let pages = 100
  /// A server that does not know the question may say so like one that is busy.
  static let patience: Duration = .seconds(10)
}

/// What another store held at a moment; only for reading.
protocol PastStore: HTTPStore {
  associatedtype Present: HTTPStore
  var store: Present { get }
  var moment: Timestamp { get }
}

extension PastStore {
  var location: String { "\(store.location) as of \(moment)" }
  var prefix: String { store.prefix }
  var counters: TransferCounters? { store.counters }
  var parallelism: Int { store.parallelism }

  func put(_ name: ObjectName, _ bytes: UnsafeRawBufferPointer, cancellation: Cancellation) throws {
    throw refusal("write", name)
  }
  func delete(_ name: ObjectName) throws { throw refusal("delete", name) }
  private func refusal(_ action: String, _ name: ObjectName) -> StorageError {
    .failed(
      action, name, in: location, cause: ErrorReport(summary: "what is past can only be read"), retry: .useless)
  }
}
