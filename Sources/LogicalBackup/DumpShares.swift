/// Which stream of a dump the rows of which tables are in.
struct DumpShares: Sendable {
  struct Table: Sendable, Hashable {
    var oid: UInt32
    var schema: String
    var name: String
    /// On the server's disk, TOAST with it.
    var bytes: Int64
    /// Quoted names of the sequences it owns, which pg_dump would put beside its rows.
    var sequences: [String] = []

    /// As SQL takes it, and pg_dump's patterns, to which nothing between quotes has another meaning.
    var quoted: String { Self.quote(schema, name) }

    static func quote(_ schema: String, _ name: String) -> String {
      [schema, name].map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }.joined(separator: ".")
    }
  }

  /// More are not handed out: their names have to fit into a command line.
  static let mostTables = 1000

  /// Of each stream beside the main one, whose rows are those of all other tables.
  private(set) var others: [[Table]] = []
  /// Oids of the tables that the selection held shortly before the snapshot.
  var listed: Set<UInt32> = []

  init() {}

  /// The largest first, each to the stream that has least so far.
  /// - Parameters:
  ///   - rest: Bytes of tables that stay in the main stream.
  ///   - streams: At most so many, the main one with them.
  init(_ tables: [Table], rest: Int64, streams: Int) {
    var shares = [[Table]](repeating: [], count: streams)
    var sizes = [Int64](repeating: 0, count: streams)
    sizes[0] = rest
    for table in tables.sorted(by: { ($0.bytes, $1.oid) > ($1.bytes, $0.oid) }) where table.bytes > 0 {
      let smallest = sizes.indices.min { sizes[$0] < sizes[$1] }!
      shares[smallest].append(table)
      sizes[smallest] += table.bytes
    }
    others = shares.dropFirst().filter { !$0.isEmpty }
  }

  var isOne: Bool { others.isEmpty }

  /// pg_dump's options that leave the rows of the others out of the main stream.
  var mainOptions: [String] { others.joined().map { "--exclude-table-data=\($0.quoted)" } }

  /// pg_dump's options for the rows of some tables, and nothing else.
  static func options(_ tables: [Table]) -> [String] {
    // Not "--data-only", which would look for an order that foreign keys allow and warn where there is none.
    ["--section=data", "--strict-names"] + tables.map { "--table=\($0.quoted)" }
      + tables.flatMap { table in table.sequences.map { "--exclude-table-data=\($0)" } }
  }

  /// What is in the archives must be what was handed out, each table once.
  /// - Parameters:
  ///   - contents: Of the main archive, then of the others in their order.
  ///   - expected: Oids of the tables whose rows must be somewhere.
  /// - Returns: Oids of tables that are missing, or there twice, or where they do not belong.
  func astray(_ contents: [ArchiveContents], expected: Set<UInt32>) -> Set<UInt32> {
    var found: Set<UInt32> = []
    var wrong: Set<UInt32> = []
    for oid in contents.flatMap(\.rows) where !found.insert(oid).inserted { wrong.insert(oid) }
    for (tables, archive) in zip(others, contents.dropFirst()) {
      wrong.formUnion(Set(tables.map(\.oid)).symmetricDifference(archive.rows))
    }
    return wrong.union(expected.subtracting(found))
  }
}
