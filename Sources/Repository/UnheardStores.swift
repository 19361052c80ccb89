public import BackupModel
internal import BlockingWork
internal import Storage
import Synchronization

/// Stores that were left out of listings, since they did not answer: what they alone hold is not known.
final class UnheardStores: Sendable {
  private let reports = Mutex<[StoreID: ErrorReport]>([:])

  var all: [StoreID: ErrorReport] { reports.withLock { $0 } }
  func heard(_ store: StoreID) { reports.withLock { $0[store] = nil } }

  /// - Returns: Whether it answered before, as far as is known.
  func note(_ store: StoreID, _ error: any Error) -> Bool {
    let report = ErrorReport(error)
    return reports.withLock { $0.updateValue(report, forKey: store) == nil }
  }
}

extension Repository {
  /// Stores that did not answer when they were listed last, and why. Who says that something is not there says of these
  /// that they may have it.
  public var unheard: [StoreID: ErrorReport] { silent.all }

  /// A second request is worth its time where one got lost, not where a server is known to be away.
  private static let again: Duration = .milliseconds(300)

  /// What a store lists, where nobody is to wait for it; nil where it does not answer.
  func glance(at store: RepositoryStore, below prefix: String) throws -> Listing? {
    for isLast in [false, true] {
      do {
        let listing = try store.objects.once.list(below: prefix)
        silent.heard(store.id)
        return listing
      } catch let error as StorageError {
        guard silent.note(store.id, error), !isLast, error.retryMayHelp else { return nil }
        try Cancellation().sleep(Self.again)
      }
    }
    return nil
  }
}
