import ArgumentParser
import BackupModel
import Recovery

/// Where replay stops, as the operator says it: one of these, or none for the end of WAL.
struct RestoreTargetOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Stop before the first transaction that ended after this time, such as \"2026-11-02 03:00:00+01:00\".",
      valueName: "time"))
  var targetTime: String?
  @Option(
    help: ArgumentHelp("Stop at this position, such as 16/B374D848.", valueName: "lsn"),
    transform: parsing { try LSN($0) })
  var targetLsn: LSN?
  @Option(help: ArgumentHelp("Stop after this transaction.", valueName: "xid"), transform: parsing(Self.xid))
  var targetXid: UInt32?
  @Option(help: ArgumentHelp("Stop at this restore point, made by pg_create_restore_point().", valueName: "name"))
  var targetName: String?
  @Flag(help: "Stop as soon as the backup is consistent.")
  var targetImmediate = false

  var isGiven: Bool { count > 0 }
  private var count: Int {
    [targetTime != nil, targetLsn != nil, targetXid != nil, targetName != nil, targetImmediate].count { $0 }
  }

  func validate() throws {
    if count > 1 { throw ValidationError("Name one target only.") }
    if let targetName, !(1...63).contains(targetName.utf8.count) {
      throw ValidationError("The name of a restore point has 1 to 63 bytes.")
    }
  }

  /// The target; tells the operator by which zone a time without one was read.
  func target() throws -> RecoveryTarget {
    if let targetTime { return .time(try ZonedTime.told(targetTime, option: "--target-time")) }
    if let targetLsn { return .lsn(targetLsn) }
    if let targetXid { return .xid(targetXid) }
    if let targetName { return .name(targetName) }
    return targetImmediate ? .immediate : .endOfWAL
  }

  /// `pg_current_xact_id()` counts on beyond 32 bits; WAL and `recovery_target_xid` know the lower ones.
  private static func xid(_ text: String) throws -> UInt32 {
    guard let number = UInt64(text), UInt32(truncatingIfNeeded: number) >= 3 else {
      throw FormatError.invalid(what: "transaction id", text: text, expected: "a number from 3 on")
    }
    return UInt32(truncatingIfNeeded: number)
  }
}

extension RecoveryTarget: JSONConvertible {
  var json: JSONValue {
    switch self {
    case .endOfWAL: .fields(["kind": "end", "value": String?.none])
    case .immediate: .fields(["kind": "immediate", "value": String?.none])
    case .time(let time): .fields(["kind": "time", "value": time])
    case .lsn(let lsn): .fields(["kind": "lsn", "value": lsn])
    case .xid(let xid): .fields(["kind": "xid", "value": xid])
    case .name(let name): .fields(["kind": "name", "value": name])
    }
  }
}
