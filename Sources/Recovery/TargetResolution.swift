internal import BackupModel
internal import Repository

/// Whether a target can be reached from a backup, and how PostgreSQL is told.
enum TargetResolution {
  /// `replay` is what is written to the settings.
  case reachable(replay: RecoveryTarget, lsn: LSN?)
  /// The target lies before the backup's end: an older backup may do.
  case beforeBackup
  /// Not in the WAL after this backup.
  case unknown
  /// Later than the WAL reaches.
  case beyond(String)

  init(_ target: RecoveryTarget, from header: ManifestHeader, in wal: WALStretch) throws {
    switch target {
    case .endOfWAL: self = .reachable(replay: .endOfWAL, lsn: wal.completeEnd)
    case .immediate: self = .reachable(replay: .immediate, lsn: header.stopLSN)
    case .time(let time): self = try Self.resolve(time, header, wal)
    case .lsn(let lsn): self = try Self.resolve(lsn, header, wal)
    case .xid(let xid):
      self = Self.resolve(try wal.end(of: xid).map { ($0.start, $0.end) }, target, header)
    case .name(let name):
      self = Self.resolve(try wal.restorePoint(name).map { ($0.start, $0.end) }, target, header)
    }
  }

  /// PostgreSQL stops before the first transaction that ended after T. Where none is known to have, it would look for
  /// one at the end of WAL and give up with FATAL, so it gets no target and replays what there is.
  private static func resolve(_ time: Timestamp, _ header: ManifestHeader, _ wal: WALStretch) throws -> Self {
    guard time >= header.started else { return .beforeBackup }
    if let first = try wal.firstEnd(after: time) {
      guard first.start >= header.stopLSN else { return .beforeBackup }
      return .reachable(replay: .time(time), lsn: first.start)
    }
    guard let known = wal.lastKnown, time <= known else {
      let known = wal.lastKnown.map { "The last instant the WAL in the repository knows of is \($0)." }
      return .beyond(known ?? "The WAL in the repository tells no time.")
    }
    return .reachable(replay: .endOfWAL, lsn: wal.completeEnd)
  }

  /// PostgreSQL stops after the first record that begins at or after the position, and gives up where there is none.
  /// Where no transaction ended from there on, replaying what there is shows the same rows.
  private static func resolve(_ lsn: LSN, _ header: ManifestHeader, _ wal: WALStretch) throws -> Self {
    guard lsn >= header.stopLSN else { return .beforeBackup }
    if try wal.hasEnd(from: lsn) { return .reachable(replay: .lsn(lsn), lsn: lsn) }
    guard beforePageHeader(lsn) <= wal.completeEnd else {
      return .beyond("The last complete record in the repository ends at \(wal.completeEnd).")
    }
    return .reachable(replay: .endOfWAL, lsn: lsn)
  }

  /// `pg_current_wal_insert_lsn()` on a fresh page is behind its header, where the last record ends before it.
  private static func beforePageHeader(_ lsn: LSN) -> LSN {
    let pageSize: UInt64 = 8192
    let longHeader: UInt64 = 40
    return lsn.value % pageSize <= longHeader ? LSN(lsn.value / pageSize * pageSize) : lsn
  }

  private static func resolve(
    _ found: (start: LSN, end: LSN)?, _ target: RecoveryTarget, _ header: ManifestHeader
  ) -> Self {
    guard let found else { return .unknown }
    guard found.start >= header.stopLSN else { return .beforeBackup }
    return .reachable(replay: target, lsn: found.end)
  }
}
