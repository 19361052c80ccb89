import FoundationEssentials
import TestSupport
import Testing

@Suite("A history of backups under load and DDL", .serialized) struct HistoryTests {
  @Test("is restored from each of them; any can be deleted, and the rest are as before") func small() throws {
    try History.run(
      version: 15,
      size: .init(
        scale: 1, transactions: 60, clients: 2, backups: 3, source: "direct", changesRelations: true,
        kinds: [.time]))
  }
}

@Suite("A history of backups under load and DDL, Soak", .serialized, .enabled(if: Soak.isOn)) struct HistorySoak {
  /// 30 backups, 20 targets, each backup restored at least once; then half of them deleted at random.
  @Test(
    "is restored from each of them; any can be deleted, and the rest are as before",
    arguments: [(15, "direct"), (18, "stream")])
  func full(version: Int, source: String) throws {
    var random = SeededGenerator(seed: Soak.seed)
    var kinds = (0..<20).map { RandomRestores.Kind.allCases[$0 % RandomRestores.Kind.allCases.count] }
    kinds.shuffle(using: &random)
    try History.run(
      version: version,
      size: .init(
        scale: 20, transactions: 1500, clients: 3, backups: 30, source: source, changesRelations: true, kinds: kinds))
  }
}

private enum History {
  static func run(version: Int, size: RandomRestores.Size) throws {
    let seed = Soak.seed
    Programs.note("seed \(seed)")
    try RandomRestores.run(version: version, size: size, seed: seed) { restores, taken in
      let parents = try taken.backups.map { try restores.site.json("show", try #require($0["id"].text))["parent"] }
      #expect(parents.dropFirst() == taken.backups.dropLast().map { $0["id"] }[...], "not all are incremental")
      try restores.deleteAny(taken)
    }
  }
}

extension RandomRestores {
  /// Deletes half of the backups, lets prune remove them for good, and restores all others.
  fileprivate mutating func deleteAny(_ taken: Taken) throws {
    let ids = taken.backups.compactMap { $0["id"].text }
    // The newest of a store stays in any case.
    let doomed = Set(ids.dropLast().shuffled(using: &random).prefix(ids.count / 2))
    for id in ids where doomed.contains(id) { try site.succeed("delete", id) }
    let packs = try site.objects("packs")
    try site.pruneLater(.seconds(3 * 86400))
    #expect(try site.json("backups").array?.map { $0["id"].text } == ids.filter { !doomed.contains($0) })
    let left = try site.objects("packs")
    Programs.note("deleted \(doomed.count) of \(ids.count) backups; \(left.count) of \(packs.count) packs stay")
    // Each may hold a page that another backup still uses: how many go depends on the load.
    #expect(left.isSubset(of: packs))
    for backup in taken.backups where backup["id"].text.map(doomed.contains) == false {
      try restore(try Self.immediate(backup), taken)
    }
    try restore(Target(arguments: [], stop: .never, acknowledged: Set(taken.witnesses.map(\.xid))), taken)
    // The next one takes over from what is left.
    let next = try site.backup()
    #expect(try site.json("show", next)["parent"].text == ids.last)
    try site.expectSoundBackups(atLeast: ids.count - doomed.count + 1)
  }
}
