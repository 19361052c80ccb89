import BackupModel
import FoundationEssentials
import TestSupport
import Testing

/// Restores of a cluster that was backed up and streamed under load, each to a random target, each compared with what
/// PostgreSQL's own WAL says was committed there.
struct RandomRestores {
  enum Kind: String, CaseIterable { case time, lsn, xid, name, immediate, end }

  struct Size {
    var scale: Int
    /// Before the first backup and after each; each half the load makes a restore point.
    var transactions: Int
    var clients: Int
    var backups = 2
    var source = "stream"
    /// Whether relations are made, moved, rewritten and dropped meanwhile.
    var changesRelations = false
    /// What to restore to, in this order.
    var kinds: [Kind]
  }

  let server: PostgresServer
  let site: BackupSite
  let tablespace: String
  let size: Size
  var random: SeededGenerator

  /// Runs the whole: load, backups, restores.
  /// - Parameter then: What else is done with the backups.
  static func run(
    version: Int, size: Size, seed: UInt64,
    then: (inout RandomRestores, Taken) throws -> Void = { _, _ in }
  ) throws {
    let options = ["wal_keep_size": "100GB", "max_wal_size": "1GB", "autovacuum_naptime": "1s"]
    try PostgresServer.run(version: version, options: options) { server in
      let load = LedgerLoad(scale: size.scale)
      let tablespace = try load.prepare(server)
      let change: (inout BackupSite.Options) -> Void = {
        $0.physical = ["source: \(size.source)"]
        $0.clusterKeys = ["data-directory: \(server.dataDirectory)"]
      }
      try BackupSite.run(server, change: change) { site in
        var restores = RandomRestores(
          server: server, site: site, tablespace: tablespace, size: size, random: SeededGenerator(seed: seed))
        try site.withDaemon { _ in
          let taken = try restores.takeBackups(under: load)
          try restores.restoreAll(taken)
          try then(&restores, taken)
        }
      }
    }
  }

  /// What the load left to choose targets from.
  struct Taken {
    /// Oldest first.
    var backups: [JSON]
    var history: TransactionHistory
    var rows: LedgerRows
    /// Restore points and the ends of their records.
    var restorePoints: [(name: String, end: LSN)]
    /// What clients noted after their commits.
    var witnesses: [Witness]
  }

  struct Witness {
    var xid: UInt32
    var lsn: LSN
    var time: String
  }

  private func takeBackups(under load: LedgerLoad) throws -> Taken {
    var points: [(String, LSN)] = []
    var acknowledged: Set<UInt32> = []
    var live: LedgerRows?
    func markPoint() throws {
      let name = "point \(points.count)"
      points.append((name, try LSN(try server.psql("select pg_create_restore_point('\(name)')"))))
    }
    let start = try LSN(try server.psql("select pg_current_wal_insert_lsn()"))
    try server.underLoad(clients: size.clients, script: load.script) { _ in
      try LedgerLoad.awaitTransactions(size.transactions, server)
      try besideRelationChanges(of: load) {
        for _ in 0..<size.backups {
          try site.backup()
          for _ in 0..<2 {
            try LedgerLoad.awaitTransactions(size.transactions / 2, server)
            try markPoint()
          }
        }
      }
      // A restore to the end of WAL while WAL keeps coming.
      acknowledged = Set(try witnesses().map(\.xid))
      try site.waitUntilDurable(server)
      live = try restored([]).rows
    }
    try site.waitUntilDurable(server)
    let backups = try #require(try site.json("backups").array)
    try #require(backups.count == size.backups)
    let taken = Taken(
      backups: backups, history: try TransactionHistory(server, from: start), rows: try LedgerRows(server),
      restorePoints: points, witnesses: try witnesses())
    try expectBeginning(try #require(live), of: taken, holding: acknowledged)
    return taken
  }

  private func besideRelationChanges(of load: LedgerLoad, _ body: () throws -> Void) throws {
    guard size.changesRelations else { return try body() }
    try server.underLoad(clients: 1, script: load.relationChanges) { program in
      try body()
      guard program.ended == nil else { throw EndToEndError.unexpected(program.standardError) }
    }
  }

  /// What a restore gave while the load went on: the first so many commits and no other, all that were durable among them.
  private func expectBeginning(_ rows: LedgerRows, of taken: Taken, holding acknowledged: Set<UInt32>) throws {
    let lost = acknowledged.filter { rows.rows[$0] == nil }.sorted().prefix(20)
    #expect(lost == [], "acknowledged and durable, but not restored")
    let commits = taken.history.ends.filter { $0.committed && taken.rows.rows[$0.xid] != nil }
    let isBeginning = rows == taken.rows.only(Set(commits.prefix(rows.rows.count).map(\.xid)))
    #expect(isBeginning, "\(rows.rows.count) commits were restored, but not the first \(rows.rows.count)")
  }

  private func witnesses() throws -> [Witness] {
    let text = try server.psql(
      "select xid, lsn, to_char(moment at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') from witness order by lsn")
    return try text.split(separator: "\n").map { line in
      let parts = line.split(separator: "|")
      return Witness(xid: try #require(UInt32(parts[0])), lsn: try LSN(String(parts[1])), time: String(parts[2]))
    }
  }
}

// MARK: - Restores

extension RandomRestores {
  /// Each kind of target, then to its own end each backup that no target has chosen.
  private mutating func restoreAll(_ taken: Taken) throws {
    var unused = Set(taken.backups.compactMap { $0["id"].text })
    for kind in size.kinds { unused.remove(try restore(try target(kind, taken), taken)) }
    for backup in taken.backups where backup["id"].text.map(unused.contains) == true {
      try restore(try Self.immediate(backup), taken)
    }
  }

  /// Restores to a target and compares.
  /// - Returns: The backup that was restored.
  @discardableResult
  func restore(_ target: Target, _ taken: Taken) throws -> String {
    let expected = taken.history.committed(until: target.stop)
    // The expectation itself is held against what the clients were told.
    let lost = target.acknowledged.subtracting(expected).sorted()
    try #require(lost == [], "\(target.title): acknowledged before, not in pg_waldump's list")
    let rows = taken.rows.only(expected)
    let (found, backup) = try restored(target.arguments)
    let missing = rows.rows.keys.filter { found.rows[$0] == nil }.sorted().prefix(20)
    let extra = found.rows.keys.filter { rows.rows[$0] == nil }.sorted().prefix(20)
    let agrees = found == rows
    #expect(agrees, "\(target.title): missing \(missing), not expected \(extra)")
    return backup
  }

  /// Restores, checks what every restore must be, and reads the ledger.
  private func restored(_ arguments: [String]) throws -> (rows: LedgerRows, backup: String) {
    let title = arguments.isEmpty ? "end of WAL" : arguments.joined(separator: " ")
    let directory = try site.fresh("restored")
    let moved = try site.fresh("restored-second")
    let clock = ContinuousClock.now
    let report = try site.succeed(
      ["restore", directory, "--cluster", BackupSite.cluster, "--tablespace", "\(tablespace)=\(moved)", "--json"]
        + arguments, deadline: .seconds(600))
    let backup = try #require(try JSON(parsing: report)["backup"].text)
    let copied = ContinuousClock.now - clock
    let verified = try Program.run(
      server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres, deadline: .seconds(600))
    #expect(verified.succeeded, "\(title): \(verified.standardError)")
    let rows = try PostgresServer.startRestored(
      directory: directory, version: server.version, deadline: .seconds(600)
    ) { copy in
      try copy.waitUntilPromoted(deadline: .seconds(600))
      #expect(try LedgerRows.sumsAgree(copy), "\(title)")
      let checked = try Program.run(
        server.installation.program("pg_amcheck"),
        [
          "--heapallindexed", "--jobs=2", "--host=\(copy.socketDirectory)", "--port=\(copy.port)",
          "--username=postgres", "postgres",
        ],
        deadline: .seconds(600))
      #expect(checked.succeeded, "\(title): \(checked.standardOutput)\(checked.standardError)")
      return try LedgerRows(copy)
    }
    Programs.note("PostgreSQL \(server.version), \(title): \(rows.rows.count) rows, copied in \(copied)")
    for path in [directory, moved] { try FileManager.default.removeItem(atPath: path) }
    return (rows, backup)
  }
}
