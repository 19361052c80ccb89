import BackupModel
import TestSupport
import Testing

extension RandomRestores {
  struct Target {
    var arguments: [String]
    var stop: TransactionHistory.Stop
    /// Commits that a client saw done before the target.
    var acknowledged: Set<UInt32>
    var title: String { arguments.joined(separator: " ") }
  }

  /// A random target that a backup reaches.
  mutating func target(_ kind: Kind, _ taken: Taken) throws -> Target {
    let firstStop = try LSN(try #require(taken.backups[0]["stopLSN"].text))
    let witnesses = taken.witnesses.filter { $0.lsn > firstStop }
    let reachable = taken.history.ends.filter { $0.lsn >= firstStop }
    let witness = try #require(witnesses.randomElement(using: &random))
    func acknowledged(_ isBefore: (Witness) -> Bool) -> Set<UInt32> {
      Set(taken.witnesses.filter(isBefore).map(\.xid))
    }
    switch kind {
    case .time:
      // Either exactly when a transaction ended, or some moment between.
      let end = try #require(reachable.randomElement(using: &random))
      let time = Bool.random(using: &random) ? end.time : witness.time
      return Target(
        arguments: ["--target-time", time + "+00"], stop: .time(time), acknowledged: acknowledged { $0.time <= time })
    case .lsn:
      // The start of a record, or what a client read: the end of one.
      let end = try #require(reachable.dropLast().randomElement(using: &random))
      let lsn = Bool.random(using: &random) ? end.lsn : witness.lsn
      let last = try TransactionHistory.firstRecord(at: lsn, server)
      return Target(
        arguments: ["--target-lsn", "\(lsn)"], stop: .after(last), acknowledged: acknowledged { $0.lsn <= lsn })
    case .xid:
      return Target(
        arguments: ["--target-xid", "\(witness.xid)"], stop: .xid(witness.xid), acknowledged: [witness.xid])
    case .name:
      let point = try #require(taken.restorePoints.randomElement(using: &random))
      return Target(
        arguments: ["--target-name", point.name], stop: .before(point.end),
        acknowledged: acknowledged { $0.lsn < point.end })
    case .immediate:
      return try Self.immediate(try #require(taken.backups.randomElement(using: &random)))
    case .end:
      return Target(arguments: [], stop: .never, acknowledged: acknowledged { _ in true })
    }
  }
}

extension RandomRestores {
  /// A backup's own end.
  static func immediate(_ backup: JSON) throws -> Target {
    let stopLSN = try LSN(try #require(backup["stopLSN"].text))
    return Target(
      arguments: ["--target-immediate", "--backup", try #require(backup["id"].text)], stop: .before(stopLSN),
      acknowledged: [])
  }
}
