import BackupModel
import BlockingWork
import DaemonConfiguration
import Repository
import RepositoryAccess
import Storage
import Systemd
import TestSupport

extension BackupSite {
  /// Prunes as `backupctl prune` will when so much time has passed: nobody waits a day for what a test deletes.
  func pruneLater(_ later: Duration) throws {
    // The daemon's own, after a backup, may still be at it.
    try Poll.until(.seconds(60), "a turn to prune") {
      let errors = try pruneReports(later: later).compactMap(\.error)
      if let error = errors.first(where: { !$0.summary.contains("another prune holds") }) {
        throw EndToEndError.unexpected("\(error)")
      }
      return errors.isEmpty
    }
    // It ran as whoever runs the tests.
    try Program.succeed("chown", ["-R", "--reference=\(directory)", store])
  }

  /// The same, for stores of any kind.
  func pruneReports(later: Duration) throws -> [PruneReport] {
    let settings = try Configuration.load(path: configuration)
    let cluster = try ClusterID(Self.cluster)
    let stores = ConfiguredRepository.stores(settings.repository, Credentials(environment: [:])).map {
      RepositoryStore(
        id: $0.id, objects: LaterStore(store: $0.objects, later: later, begin: .now()), durability: $0.durability)
    }
    let unlocking = try ConfiguredRepository.unlocking(settings.repository, Credentials(environment: [:]))
    let repository = try Repository.open(stores: stores, unlocking: unlocking)
    let pruner = Pruner(
      repository: repository, cluster: cluster,
      options: .init(rules: settings.retentionRules(for: cluster), now: { .now() + later }))
    return try pruner.run(cancellation: Cancellation())
  }
}

/// A store whose clock is ahead: what is written now was written then. Older objects keep their age.
private struct LaterStore: ForwardingStore {
  let store: any ObjectStore
  var base: any ObjectStore { store }
  let later: Duration
  let begin: Timestamp
  var locks: (any ObjectLocks)? { store.locks }

  func list(below prefix: String) throws -> Listing {
    var listing = try store.list(below: prefix)
    for index in listing.objects.indices where listing.objects[index].name.text.contains("/leases/") {
      // File systems' times lag behind the clock by some milliseconds.
      listing.objects[index].modified = listing.objects[index].modified.map {
        $0 + .seconds(1) > begin ? $0 + later : $0
      }
    }
    return listing
  }
  func delete(_ names: [ObjectName]) throws { try store.delete(names) }
}
