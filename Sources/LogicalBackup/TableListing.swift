internal import BlockingWork
internal import Postgres
internal import ServerPrograms

/// The tables that a selection comes to, by pg_dump's own rules, and those of them whose rows a stream of their own may have.
///
/// A table that is left out of here is never lost: its rows stay in the main stream.
struct TableListing {
  /// Oids of all tables that pg_dump would define.
  private(set) var oids: Set<UInt32> = []
  /// Ordinary tables, the largest first.
  private(set) var tables: [DumpShares.Table] = []
  /// Bytes of the tables beyond ``DumpShares/mostTables``.
  private(set) var rest: Int64 = 0

  /// - Parameter arguments: pg_dump's, of the connection and the selection, none for what is dumped of it.
  init(
    _ program: String, _ arguments: [String], _ environment: [String: String], _ session: Connection,
    content: DumpOptions.Content, _ cancellation: Cancellation
  ) throws {
    oids = try Self.oids(program, arguments + ["--schema-only"], environment, cancellation)
    guard !oids.isEmpty else { return }
    let answer = try session.query(
      """
      SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_table_size(c.oid) AS bytes,
        current_setting('server_encoding') AS encoding
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'r' AND c.relpersistence = 'p'
        AND ($2 = 'all' OR NOT EXISTS (SELECT FROM pg_constraint f
          WHERE f.contype = 'f' AND (f.conrelid = c.oid OR f.confrelid = c.oid)))
      ORDER BY bytes DESC NULLS LAST, c.oid
      """, [Self.array(oids), content.rawValue], while: "list tables")
    let all = answer.rows.indices.compactMap { Self.table(answer, $0) }
    tables = try Self.withSequences(Array(all.prefix(DumpShares.mostTables)), session)
    rest = all.dropFirst(DumpShares.mostTables).reduce(0) { $0 + $1.bytes }
  }

  private static func oids(
    _ path: String, _ arguments: [String], _ environment: [String: String], _ cancellation: Cancellation
  ) throws -> Set<UInt32> {
    let program = try PipedProgram(path, arguments, environment: environment, .output, cancellation: cancellation)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var contents = ArchiveContents()
    while case let count = try program.read(into: buffer), count > 0 {
      try contents.take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
    try program.finish()
    guard contents.isComplete else { throw ArchiveContents.Malformed(what: "it ends within its table of contents") }
    return contents.tables
  }

  /// Nil where its name might not reach pg_dump as it is: a command line is read in the database's encoding.
  private static func table(_ answer: QueryResult, _ row: Int) -> DumpShares.Table? {
    guard let oid = answer[row, "oid"].flatMap({ UInt32($0) }), let schema = answer[row, "schema"],
      let name = answer[row, "name"],
      answer[row, "encoding"] == "UTF8" || (schema + name).utf8.allSatisfy({ $0 < 128 })
    else { return nil }
    return DumpShares.Table(
      oid: oid, schema: schema, name: name, bytes: answer[row, "bytes"].flatMap { Int64($0) } ?? 0)
  }

  private static func withSequences(
    _ tables: [DumpShares.Table], _ session: Connection
  ) throws -> [DumpShares.Table] {
    let answer = try session.query(
      """
      SELECT d.refobjid AS owner, n.nspname AS schema, s.relname AS name
      FROM pg_depend d JOIN pg_class s ON s.oid = d.objid JOIN pg_namespace n ON n.oid = s.relnamespace
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        AND s.relkind = 'S' AND d.refobjid = ANY ($1::oid[])
      """, [array(tables.map(\.oid))], while: "list sequences")
    var sequences: [UInt32: [String]] = [:]
    for row in answer.rows.indices {
      guard let owner = answer[row, "owner"].flatMap({ UInt32($0) }), let schema = answer[row, "schema"],
        let name = answer[row, "name"]
      else { continue }
      sequences[owner, default: []].append(DumpShares.Table.quote(schema, name))
    }
    return tables.compactMap { table in
      var table = table
      table.sequences = sequences[table.oid] ?? []
      let isPlain = (table.schema + table.name).utf8.allSatisfy { $0 < 128 }
      // Where the table's own name had to be plain, so has that of its sequence.
      guard !isPlain || table.sequences.joined().utf8.allSatisfy({ $0 < 128 }) else { return nil }
      return table
    }
  }

  /// Those that the snapshot knows under the name they had when they were listed.
  static func present(_ tables: [DumpShares.Table], _ session: Connection) throws -> [DumpShares.Table] {
    let answer = try session.query(
      """
      SELECT c.oid, n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = ANY ($1::oid[])
      """, [array(tables.map(\.oid))], while: "list tables")
    var names: [UInt32: String] = [:]
    for row in answer.rows.indices {
      guard let oid = answer[row, "oid"].flatMap({ UInt32($0) }), let schema = answer[row, "schema"],
        let name = answer[row, "name"]
      else { continue }
      names[oid] = DumpShares.Table.quote(schema, name)
    }
    return tables.filter { names[$0.oid] == $0.quoted }
  }

  /// Of some oids those that the snapshot knows as tables with rows of their own, and their names.
  static func withRows(_ oids: Set<UInt32>, _ session: Connection) throws -> [UInt32: String] {
    let answer = try session.query(
      """
      SELECT c.oid, c.oid::regclass AS name FROM pg_class c
      WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'r' AND c.relpersistence = 'p'
      """, [array(oids)], while: "list tables")
    return answer.rows.indices.reduce(into: [:]) { names, row in
      if let oid = answer[row, "oid"].flatMap({ UInt32($0) }) { names[oid] = answer[row, "name"] ?? "\(oid)" }
    }
  }

  private static func array(_ oids: some Sequence<UInt32>) -> String {
    "{" + oids.map { "\($0)" }.joined(separator: ",") + "}"
  }
}
