internal import BackupModel
internal import BlockingWork
internal import Postgres

/// The tables of a restored database beside those of the one that was dumped.
///
/// The restored rows are counted. Those of the server are estimated as its planner does it, since to count them would
/// burden it; what has changed there since the dump is no fault of the dump, so only what no ordinary day explains is
/// spoken of.
struct TableComparison {
  /// More tables than these are compared by name alone.
  static let mostCounted = 500
  /// So many are named; the others are counted.
  private static let mostNamed = 10

  private let restored: [String: Int64]
  private let counted: Set<String>
  private let original: [String: Int64]
  private let isPartial: Bool

  /// - Parameter isPartial: Whether only some of the database's tables were dumped.
  /// - Throws: `PostgresError`, `CancellationError`.
  init(restored copy: Connection, original server: Connection, isPartial: Bool) throws {
    self.isPartial = isPartial
    original = try Self.estimates(server)
    var rows = try Self.estimates(copy)
    var counted: Set<String> = []
    for table in rows.keys.sorted().prefix(Self.mostCounted) {
      rows[table] = try copy.query("SELECT count(*) FROM \(table)", while: "count rows").scalar.flatMap { Int64($0) }
      counted.insert(table)
    }
    restored = rows
    self.counted = counted
  }

  /// Rows by the quoted names of tables; -1 where the planner knows nothing.
  private static func estimates(_ session: Connection) throws -> [String: Int64] {
    let result = try session.query(
      """
      SELECT format('%I.%I', n.nspname, c.relname) AS name, c.reltuples::bigint AS rows
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      """, while: "list tables")
    return result.rows.indices.reduce(into: [:]) { tables, row in
      if let name = result[row, "name"] { tables[name] = result[row, "rows"].flatMap { Int64($0) } ?? -1 }
    }
  }

  var results: [CheckResult] {
    let total = restored.filter { counted.contains($0.key) }.values.reduce(0, +)
    let known = original.values.filter { $0 > 0 }.reduce(0, +)
    var rows = CheckResult(
      name: "restored rows", value: "\(total)", message: "The server has about \(known) by its own estimate.")
    if total == 0, known > 0 { rows.verdict = .critical }
    var tables = CheckResult(name: "restored tables", value: "\(restored.count)")
    if restored.isEmpty {
      tables.verdict = .critical
      tables.message = "The dump brought back no table."
    }
    return [tables, rows] + [lacking, emptied, fallen].compactMap { $0 }
  }

  /// Tables of the server that did not come back: they may be younger than the dump.
  private var lacking: CheckResult? {
    guard !isPartial else { return nil }
    return named("tables that are not in the dump", original.keys.filter { restored[$0] == nil })
  }

  private var emptied: CheckResult? {
    named("tables that came back empty", counted.filter { restored[$0] == 0 && (original[$0] ?? 0) > 0 })
  }

  private var fallen: CheckResult? {
    named(
      "tables that came back with less than half of their rows",
      counted.filter { table in
        guard let rows = restored[table], rows > 0, let now = original[table] else { return false }
        return now >= 1000 && rows < now / 2
      })
  }

  private func named(_ what: String, _ tables: some Collection<String>) -> CheckResult? {
    guard !tables.isEmpty else { return nil }
    let names = tables.sorted()
    let more = names.count > Self.mostNamed ? " and \(names.count - Self.mostNamed) more" : ""
    return CheckResult(
      name: what, value: "\(names.count)", verdict: .warning,
      message: names.prefix(Self.mostNamed).joined(separator: ", ") + more + ".", mayFall: true)
  }
}
