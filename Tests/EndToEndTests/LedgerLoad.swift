import BackupModel
import TestSupport

/// A load like pgbench's whose every transaction also writes down who it was, and whose every client writes down
/// afterwards what it saw: what has to be there after a restore, and what must not.
struct LedgerLoad {
  /// pgbench's scale: about 15 MB a unit.
  let scale: Int

  /// Tables, half of them in a tablespace of their own, and the extension that checks indexes.
  /// - Returns: The tablespace's directory.
  func prepare(_ server: PostgresServer) throws -> String {
    let tablespace = try server.createTablespace("second")
    try server.pgbenchInitialize(scale: scale)
    try server.psql(
      """
      create extension amcheck;
      alter table pgbench_tellers set tablespace second;
      alter index pgbench_accounts_pkey set tablespace second;
      create table ledger (
        id bigint generated always as identity primary key, xid bigint not null, delta int not null, note text not null
      ) tablespace second;
      create table refilled (id int primary key, note text);
      create table witness (xid bigint not null, lsn pg_lsn not null, moment timestamptz not null);
      checkpoint;
      """)
    return tablespace
  }

  /// TPC-B with the ledger; one in twenty rolls back. The client's own record is a transaction after it.
  var script: String {
    """
    \\set aid random(1, \(100_000 * scale))
    \\set bid random(1, \(scale))
    \\set tid random(1, \(10 * scale))
    \\set delta random(-5000, 5000)
    \\set fate random(1, 20)
    begin;
    update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
    update pgbench_tellers set tbalance = tbalance + :delta where tid = :tid;
    update pgbench_branches set bbalance = bbalance + :delta where bid = :bid;
    insert into pgbench_history (tid, bid, aid, delta, mtime) values (:tid, :bid, :aid, :delta, current_timestamp);
    insert into ledger (xid, delta, note)
      values (pg_current_xact_id()::text::bigint, :delta, md5(random()::text)) returning xid as own \\gset
    \\if :fate = 1
    rollback;
    \\else
    commit;
    insert into witness values (:own, pg_current_wal_insert_lsn(), clock_timestamp());
    \\endif
    """
  }

  /// DDL for one client beside it: relations of its own that come and go, and the load's, moved and rewritten. Each
  /// statement locks one table alone, so that nobody waits in a circle.
  var relationChanges: String {
    let statements = [
      "create table if not exists passing as select g as id, md5(g::text) as note from generate_series(1, 5000) g",
      "drop table if exists passing",
      "truncate refilled;\ninsert into refilled select g, md5(g::text) from generate_series(1, 3000) g",
      "delete from refilled where id > 100;\nvacuum refilled",
      "vacuum full pgbench_tellers",
      "vacuum full ledger",
      "vacuum full pgbench_branches",
      "alter table pgbench_tellers set tablespace pg_default",
      "alter table pgbench_tellers set tablespace second",
      "alter table ledger set tablespace pg_default",
      "alter table ledger set tablespace second",
      "reindex table ledger",
      "reindex table concurrently pgbench_branches",
      "drop index if exists ledger_note;\ncreate index ledger_note on ledger (note)",
      "create index if not exists history_delta on pgbench_history (delta, aid)",
      "drop index if exists history_delta",
      "reindex index pgbench_tellers_pkey",
    ]
    let choices = statements.enumerated().map { "\\if :choice = \($0)\n\($1);\n\\endif\n" }.joined()
    return """
      \\set choice random(0, \(statements.count - 1))
      \(choices)\\sleep 20 ms
      """
  }

  /// Returns once the load has committed this many more transactions.
  static func awaitTransactions(_ count: Int, _ server: PostgresServer) throws {
    func committed() throws -> Int { Int(try server.psql("select count(*) from witness")) ?? 0 }
    let start = try committed()
    try Poll.until(.seconds(600), "\(count) transactions") { try committed() >= start + count }
  }
}

/// What one server holds of the load's ledger.
struct LedgerRows: Equatable {
  /// The rows as text, by the transaction that wrote them.
  let rows: [UInt32: String]

  init(_ server: PostgresServer) throws {
    let lines = try server.psql("select xid, id, delta, note from ledger").split(separator: "\n")
    rows = Dictionary(
      lines.map { line in (UInt32(line.prefix { $0 != "|" }) ?? 0, String(line)) }, uniquingKeysWith: { $0 + "\n" + $1 }
    )
  }

  private init(rows: [UInt32: String]) { self.rows = rows }

  func only(_ transactions: Set<UInt32>) -> LedgerRows {
    LedgerRows(rows: rows.filter { transactions.contains($0.key) })
  }

  /// The five sums that every transaction changes alike.
  static func sumsAgree(_ server: PostgresServer) throws -> Bool {
    let sums = try server.psql(
      """
      select sum(abalance) from pgbench_accounts; select sum(tbalance) from pgbench_tellers;
      select sum(bbalance) from pgbench_branches; select sum(delta) from pgbench_history;
      select sum(delta) from ledger;
      """)
    return Set(sums.split(separator: "\n", omittingEmptySubsequences: false)).count == 1
  }
}
