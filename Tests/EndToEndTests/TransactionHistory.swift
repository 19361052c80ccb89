import BackupModel
import TestSupport

/// The transactions of a cluster in the order of its WAL, as PostgreSQL's own `pg_waldump` tells them: what recovery to a
/// target must leave is a beginning of this list.
struct TransactionHistory {
  struct End {
    var xid: UInt32
    /// Where the record begins.
    var lsn: LSN
    /// When it ended, UTC with six decimals: in this form text sorts as time does.
    var time: String
    var committed: Bool
  }
  let ends: [End]

  /// Reads the WAL of timeline 1 from `start` on; the server keeps it.
  init(_ server: PostgresServer, from start: LSN) throws {
    let flushed = try server.psql("select pg_current_wal_flush_lsn()")
    let output = try Self.dump(
      server, ["--start=\(start)", "--end=\(flushed)", "--rmgr=Transaction"], environment: ["TZ": "UTC"])
    ends = try output.split(separator: "\n").compactMap(Self.end)
  }

  private static func dump(
    _ server: PostgresServer, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> String {
    try Program.succeed(
      server.installation.program("pg_waldump"), ["--path=\(server.dataDirectory)/pg_wal"] + arguments,
      environment: environment, as: .postgres, deadline: .seconds(300))
  }

  /// `rmgr: Transaction len (rec/tot): 34/34, tx: 740, lsn: 0/01568770, prev …, desc: COMMIT 2026-11-02 03:00:00.123456 UTC`
  private static func end(_ line: Substring) throws -> End? {
    guard let described = field("desc: ", line, upTo: "\u{0}") else { return nil }
    let words = described.split(separator: " ")
    guard words.count >= 3, words[0] == "COMMIT" || words[0] == "ABORT" else { return nil }
    guard let xid = field("tx: ", line, upTo: ",").flatMap({ UInt32($0.drop { $0 == " " }) }),
      let lsn = field("lsn: ", line, upTo: ",")
    else { throw EndToEndError.unexpected("pg_waldump printed \"\(line)\"") }
    return End(
      xid: xid, lsn: try LSN(String(lsn)), time: words[1] + " " + words[2].prefix(15), committed: words[0] == "COMMIT")
  }

  private static func field(_ name: String, _ line: Substring, upTo end: Character) -> Substring? {
    line.firstRange(of: name).map { line[$0.upperBound...].prefix { $0 != end } }
  }

  /// Where the first record begins that does not begin before `lsn`.
  static func firstRecord(at lsn: LSN, _ server: PostgresServer) throws -> LSN {
    let line = try dump(server, ["--start=\(lsn)", "--limit=1"])
    guard let found = field("lsn: ", line[...], upTo: ",") else {
      throw EndToEndError.unexpected("pg_waldump printed \"\(line)\" for \(lsn)")
    }
    return try LSN(String(found))
  }
}

extension TransactionHistory {
  /// Where recovery ends, by PostgreSQL's rules with `recovery_target_inclusive` on.
  /// - SeeAlso: PostgreSQL source, `xlogrecovery.c`, `recoveryStopsBefore`, `recoveryStopsAfter`.
  enum Stop {
    /// Before the first transaction that ended later, committed or not. As ``End/time``.
    case time(String)
    /// After the end of this transaction.
    case xid(UInt32)
    /// Records that begin before it are replayed.
    case before(LSN)
    /// The record that begins there is the last.
    case after(LSN)
    case never
  }

  /// The transactions whose effects are there.
  func committed(until stop: Stop) -> Set<UInt32> {
    var result: Set<UInt32> = []
    for end in ends {
      switch stop {
      case .time(let time) where end.time > time: return result
      case .before(let lsn) where end.lsn >= lsn: return result
      case .after(let lsn) where end.lsn > lsn: return result
      default: break
      }
      if end.committed { result.insert(end.xid) }
      if case .xid(end.xid) = stop { return result }
    }
    return result
  }
}
