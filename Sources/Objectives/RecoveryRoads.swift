public import BackupModel

/// The ways back to the present of a cluster or a tier.
public enum RecoveryRoads {
  /// Clocks of two hosts differ a little; beyond this a time in the future says nothing.
  public static let clockTolerance: Duration = .seconds(60)

  /// - Parameter tables: What must come back; nil for the whole cluster.
  /// - Returns: The one that loses least first, at most one for each store and means.
  public static func roads(_ facts: ClusterFacts, tables: Set<String>? = nil) -> [RecoveryRoad] {
    var roads = facts.stores.map { road($0, facts) }
    if let landing = facts.landing, let base = facts.stores.first(where: { isFollowed($0, facts) }) {
      roads.append(
        RecoveryRoad(
          store: nil, means: .wal, backup: base.backup, to: landing.clock, lossSeconds: landing.lossSeconds))
    }
    if let tables, !tables.isEmpty { roads += logicalRoads(facts, tables) }
    return roads.sorted(by: losesLess)
  }

  /// Whether the live WAL goes on from what this store's listing leads to: a hole in between, and it is of no use.
  private static func isFollowed(_ store: ClusterFacts.Store, _ facts: ClusterFacts) -> Bool {
    facts.heldFrom.map { store.toLSN >= $0 } ?? false
  }

  private static func road(_ store: ClusterFacts.Store, _ facts: ClusterFacts) -> RecoveryRoad {
    let means: RecoveryRoad.Means = store.hasWAL ? .wal : .physical
    var road = RecoveryRoad(
      store: store.store, means: means, backup: store.backup, to: store.to, lossSeconds: loss(store.to, facts.now))
    guard let live = store.live, isFollowed(store, facts), live.end >= store.toLSN || road.lossSeconds == nil else {
      return road
    }
    // The listing is from some time ago, or was made by a clock that is wrong: what is heard now counts.
    road.means = .wal
    road.to = live.clock
    road.lossSeconds = live.lossSeconds
    return road
  }

  private static func logicalRoads(_ facts: ClusterFacts, _ tables: Set<String>) -> [RecoveryRoad] {
    var newest: [StoreID: ClusterFacts.Logical] = [:]
    for backup in facts.logical where backup.tables.map({ $0.isSuperset(of: tables) }) ?? true {
      for store in backup.stores where newest[store].map({ $0.at < backup.at }) ?? true { newest[store] = backup }
    }
    return newest.map { store, backup in
      RecoveryRoad(
        store: store, means: .logical, backup: backup.backup, to: backup.at, lossSeconds: loss(backup.at, facts.now))
    }
  }

  /// What has passed since a time of the server's; nil where that lies in the future.
  private static func loss(_ time: Timestamp, _ now: Timestamp) -> Double? {
    let passed = now - time
    if passed < .zero - clockTolerance { return nil }
    return max(0, passed.secondsValue)
  }

  private static func losesLess(_ a: RecoveryRoad, _ b: RecoveryRoad) -> Bool {
    let (mine, other) = (a.lossSeconds ?? .infinity, b.lossSeconds ?? .infinity)
    if mine != other { return mine < other }
    // The landing directory last: a store is there also when this host is not.
    return (a.store?.rawValue ?? "~") < (b.store?.rawValue ?? "~")
  }
}
