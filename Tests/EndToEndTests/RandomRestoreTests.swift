import TestSupport
import Testing

@Suite("A restore", .serialized) struct RandomRestoreTests {
  @Test(
    "gives exactly the rows committed at its target",
    arguments: [
      (15, [RandomRestores.Kind.time, .name]), (18, [.lsn, .xid, .immediate]),
    ])
  func exactRows(version: Int, kinds: [RandomRestores.Kind]) throws {
    let seed = Soak.seed
    Programs.note("seed \(seed)")
    try RandomRestores.run(
      version: version, size: .init(scale: 1, transactions: 300, clients: 2, kinds: kinds), seed: seed)
  }
}

@Suite("A restore, at full size", .serialized, .enabled(if: Soak.isOn)) struct RandomRestoreSoak {
  /// 20 targets of a cluster of more than 2 GB.
  @Test("gives exactly the rows committed at its target", arguments: [15, 18])
  func exactRows(version: Int) throws {
    let seed = Soak.seed
    Programs.note("seed \(seed)")
    var random = SeededGenerator(seed: seed)
    var kinds = (0..<20).map { RandomRestores.Kind.allCases[$0 % RandomRestores.Kind.allCases.count] }
    kinds.shuffle(using: &random)
    try RandomRestores.run(
      version: version, size: .init(scale: 140, transactions: 20_000, clients: 4, kinds: kinds), seed: seed)
  }
}
