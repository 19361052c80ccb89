import Foundation
import TestSupport
import Testing

@testable import LogicalBackup

@Suite("A dump's table of contents") struct ArchiveContentsTests {
  @Test("is read from what pg_dump writes, however it comes", arguments: PostgresServer.versions)
  func read(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.psql(
        #"""
        CREATE TABLE parent (id serial PRIMARY KEY, text text);
        CREATE TABLE "Child ""x""" (parent int REFERENCES parent);
        CREATE TABLE parts (a int) PARTITION BY RANGE (a); CREATE TABLE part PARTITION OF parts DEFAULT;
        CREATE VIEW seen AS SELECT * FROM parent; SELECT lo_from_bytea(0, 'large');
        INSERT INTO parent (text) SELECT md5(i::text) FROM generate_series(1, 10000) i;
        """#)
      try TemporaryDirectory.run { directory in
        try ProgramUser.postgres.own(directory)
        let file = directory + "/dump"
        try Program.succeed(
          server.installation.program("pg_dump"), ["-Fc", "-Z0", "-f", file, "-d", server.connection], as: .postgres)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        func oids(_ kinds: String) throws -> Set<UInt32> {
          let text = try server.psql(
            """
            SELECT string_agg(oid::text, ' ') FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN (\(kinds))
            """)
          return Set(text.split(separator: " ").compactMap { UInt32($0) })
        }
        let (defined, filled) = (try oids("'r', 'p'"), try oids("'r'"))
        for step in [1, 7, 100, bytes.count] {
          let contents = try Self.contents(bytes, step)
          #expect(contents.isComplete && contents.tables == defined && contents.rows.count == filled.count)
          #expect(Set(contents.rows) == filled)
          #expect(contents.foreignKeyDrops.count == 1)
        }
        let drop = try #require(DumpLoading.tolerant(try Self.contents(bytes, bytes.count).foreignKeyDrops[0]))
        // Where it is there, where it is not, and where its table is not.
        for _ in 0..<2 { try server.psql(drop) }
        try server.psql("DROP TABLE \"Child \"\"x\"\"\"")
        try server.psql(drop)
        #expect(try server.psql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "0")
        Self.expectRefusal(bytes)
      }
    }
  }

  private static func contents(_ bytes: [UInt8], _ step: Int) throws -> ArchiveContents {
    var contents = ArchiveContents()
    for start in stride(from: 0, to: bytes.count, by: step) where !contents.isComplete {
      try bytes[start..<min(start + step, bytes.count)].withUnsafeBytes { try contents.take($0) }
    }
    return contents
  }

  /// What is no archive, or of a version whose entries may be others, is not guessed at; nor does what is broken trap.
  private static func expectRefusal(_ bytes: [UInt8]) {
    for (place, value) in [(0, UInt8(0)), (5, 2), (6, 13), (6, 17), (8, 8), (10, 3)] {
      var other = bytes
      other[place] = value
      #expect(throws: ArchiveContents.Malformed.self) { try contents(other, other.count) }
    }
    #expect((try? contents(Array(bytes[..<500]), 100))?.isComplete == false)
    for place in 11..<600 {
      var other = bytes
      other[place] ^= 0x81
      _ = try? contents(other, other.count)
    }
  }
}

@Suite("The streams of a dump") struct DumpSharesTests {
  private static func table(_ oid: UInt32, _ bytes: Int64) -> DumpShares.Table {
    .init(oid: oid, schema: "public", name: "t\(oid)", bytes: bytes)
  }

  @Test("are of about the same size, each table in one of them")
  func balanced() {
    let tables = (1...40).map { Self.table(UInt32($0), Int64($0 * $0 * 1000)) } + [Self.table(99, 0)]
    let shares = DumpShares(tables, rest: 500, streams: 4)
    let sizes = shares.others.map { $0.reduce(0) { $0 + $1.bytes } }
    let total = tables.reduce(0) { $0 + $1.bytes }
    #expect(sizes.count == 3 && sizes.allSatisfy { abs($0 - total / 4) < total / 40 })
    let oids = shares.others.joined().map(\.oid)
    #expect(Set(oids).count == oids.count && !oids.contains(99))
    // As always for the same tables: pieces are found where they were.
    #expect(DumpShares(tables.shuffled(), rest: 500, streams: 4).others == shares.others)
    #expect(DumpShares([Self.table(1, 10)], rest: 0, streams: 4).isOne)
    #expect(DumpShares([], rest: 0, streams: 4).isOne)
  }

  @Test("take names literally") func names() {
    let table = DumpShares.Table(oid: 1, schema: "a.b", name: #"x"*?"#, bytes: 1, sequences: [#""a.b"."s""#])
    #expect(table.quoted == #""a.b"."x""*?""#)
    #expect(
      DumpShares.options([table]) == [
        "--section=data", "--strict-names", #"--table="a.b"."x""*?""#, #"--exclude-table-data="a.b"."s""#,
      ])
  }

  @Test("are refused where a table is in none, in two, or where it does not belong") func astray() throws {
    let shares = DumpShares([Self.table(1, 30), Self.table(2, 20), Self.table(3, 19)], rest: 0, streams: 2)
    #expect(shares.others.map { $0.map(\.oid) } == [[2, 3]])
    func astray(_ main: [UInt32], _ other: [UInt32], _ expected: Set<UInt32> = [1, 2, 3]) -> Set<UInt32> {
      shares.astray([ArchiveContents(rows: main), ArchiveContents(rows: other)], expected: expected)
    }
    #expect(astray([1, 7], [2, 3]).isEmpty)
    #expect(astray([1], [3]) == [2])
    #expect(astray([1, 2], [3]) == [2])
    #expect(astray([1, 2], [2, 3]) == [2])
    #expect(astray([], [2, 3]) == [1])
    #expect(astray([1], [2, 3, 8]) == [8])
    #expect(astray([1], [2, 3], [1, 2, 3, 4]) == [4])
  }
}
