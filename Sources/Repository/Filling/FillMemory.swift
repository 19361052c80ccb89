internal import BackupModel
internal import Storage
import Synchronization

/// What fillers have read of manifests and tombstones. None of it ever changes: a pass reads what is new.
public final class FillMemory: Sendable {
  struct Manifest: Sendable {
    var backup: Backup
    var walSegmentBytes: UInt64

    init(_ header: ManifestHeader) {
      backup = header.backup(stores: [], missingStores: [])
      walSegmentBytes = header.walSegmentBytes
    }
  }

  private struct State {
    var manifests: [Lineage: [BackupID: Manifest]] = [:]
    var deletions: [Lineage: (names: Set<ObjectName>, read: Deletions)] = [:]
    /// Of manifests that some store lacks, the newest last.
    var references: [(manifest: ObjectName, sizes: [ObjectName: Int64])] = []
    /// Marked as damaged, and found to be what the others hold.
    var sound: [StoreID: Set<PackID>] = [:]
  }
  private let state = Mutex(State())
  /// References of a terabyte are about 40,000 names.
  private static let keptReferences = 8

  public init() {}

  /// What a lineage's manifests say, but for those that cannot be read.
  /// - Parameter ids: All there are now.
  func manifests(
    of lineage: Lineage, _ ids: Set<BackupID>, read: (BackupID) -> ManifestHeader?
  ) -> [Manifest] {
    let known = state.withLock { $0.manifests[lineage] ?? [:] }
    var found: [BackupID: Manifest] = [:]
    for id in ids { found[id] = known[id] ?? read(id).map(Manifest.init) }
    state.withLock { [found] in $0.manifests[lineage] = found }
    return Array(found.values)
  }

  /// - Parameter names: Of all tombstones there are now.
  func deletions(of lineage: Lineage, _ names: Set<ObjectName>, read: () throws -> Deletions) rethrows -> Deletions {
    if let known = state.withLock({ $0.deletions[lineage] }), known.names == names { return known.read }
    let deletions = try read()
    state.withLock { $0.deletions[lineage] = (names: names, read: deletions) }
    return deletions
  }

  /// What a manifest refers to, and the sizes that it records; 0 where it records none.
  func references(
    of manifest: ObjectName, read: () throws -> [ObjectName: Int64]
  ) rethrows -> [ObjectName: Int64] {
    if let known = state.withLock({ $0.references.first { $0.manifest == manifest } }) { return known.sizes }
    let sizes = try read()
    state.withLock { state in
      state.references.append((manifest, sizes))
      if state.references.count > Self.keptReferences { state.references.removeFirst() }
    }
    return sizes
  }

  /// Of the packs that a store marks as damaged those that may be.
  func doubtful(_ marked: Set<PackID>, in store: StoreID) -> Set<PackID> {
    state.withLock { marked.subtracting($0.sound[store] ?? []) }
  }

  /// A pack is what the others hold, and its mark cannot be taken away.
  func trust(_ pack: PackID, in store: StoreID) {
    state.withLock { _ = $0.sound[store, default: []].insert(pack) }
  }
}
