import Foundation
import TestSupport
import Testing

/// Schema and data, compared by a dump of both sides that is none of ours.
@Suite("A restored dump", .serialized) struct LogicalRoundTripTests {
  @Test("equals what was dumped, whatever is in the database", arguments: [15, 18], ["UTF8", "LATIN1"])
  func equal(version: Int, encoding: String) throws {
    try PostgresServer.run(version: version) { server in
      let create = "ENCODING '\(encoding)' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
      try server.psql("CREATE DATABASE source \(create)")
      try server.psql("CREATE ROLE reader")
      try server.psql(Self.schema, database: "source")
      try BackupSite.run(
        server,
        change: {
          $0.streamsWAL = false
          $0.clusterKeys = ["programs: \(server.binDirectory)"]
        }
      ) { site in
        try site.writeConfiguration(
          site.standardConfiguration + """
              whole: {kind: logical, cluster: main, database: source}
              inserts: {kind: logical, cluster: main, database: source, inserts: true, serializable-deferrable: true}
              streams: {kind: logical, cluster: main, database: source, parallel: 3}

            """)
        try site.withDaemon { _ in
          for job in ["whole", "inserts", "streams"] {
            let backup = try #require(try site.json("run", job)["backup"].text)
            try server.psql("CREATE DATABASE \(job)_copy \(create)")
            try site.succeed("restore-dump", backup, "--into", "\(job)_copy")
            #expect(try Self.plainDump(server, "\(job)_copy") == (try Self.plainDump(server, "source")))
          }
          try Self.expectStreams(site, server)
        }
      }
    }
  }

  /// Loaded over several connections, onto what is there, and by pg_restore from files.
  private static func expectStreams(_ site: BackupSite, _ server: PostgresServer) throws {
    let original = try plainDump(server, "source")
    let backup = try #require(try site.json("backups", "--kind", "logical").array?.last?["id"].text)
    try site.succeed(
      "restore-dump", backup, "--into", "streams_copy", "--clean", "--jobs", "3", "--spool", site.directory)
    #expect(try plainDump(server, "streams_copy") == original)
    let directory = try site.fresh("streams")
    try site.succeed("dump", backup, "--output", directory)
    let files = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    #expect(files == ["data-1.dump", "data-2.dump", "main.dump"])
    #expect(try site.backupctl("dump", backup, "--output", directory).status == .exited(1))
    try site.succeed("dump", backup, "--output", directory + "/", "--force")
    #expect(try site.backupctl("dump", backup, "--output", "-").standardError.contains("3 streams"))
    let create = try server.psql(
      """
      SELECT format('CREATE DATABASE by_hand ENCODING %L LC_COLLATE ''C'' LC_CTYPE ''C'' TEMPLATE template0',
        pg_encoding_to_char(encoding)) FROM pg_database WHERE datname = 'source'
      """)
    try server.psql(create)
    let steps = [("pre-data", ["main.dump"]), ("data", files), ("post-data", ["main.dump"])]
    for (section, files) in steps {
      for file in files {
        try Program.succeed(
          server.installation.program("pg_restore"),
          [
            "--exit-on-error", "--section=\(section)", "--dbname", server.connection(database: "by_hand"),
            directory + "/" + file,
          ], as: .postgres)
      }
    }
    #expect(try plainDump(server, "by_hand") == original)
    let verified = try site.json("verify", backup, "--full")
    #expect((verified.array?.first ?? verified)["sound"].bool == true)
    let rows = try #require(try site.json("show", backup)["contents"].array).compactMap(\.text)
      .filter { $0.contains(" TABLE DATA ") }
    #expect(rows.count == Set(rows.map { $0.drop { $0 != ";" } }).count && rows.count == 5)
    // Somebody else's file keeps it from being replaced.
    try Data().write(to: URL(fileURLWithPath: directory + "/mine"))
    #expect(try site.backupctl("dump", backup, "--output", directory, "--force").standardError.contains("no directory"))
  }

  /// Without what differs from run to run.
  private static func plainDump(_ server: PostgresServer, _ database: String) throws -> [Substring] {
    try Program.succeed(
      server.installation.program("pg_dump"), ["--encoding=UTF8", "-d", server.connection(database: database)],
      as: .postgres
    ).split(separator: "\n").filter { !$0.hasPrefix("\\restrict") && !$0.hasPrefix("\\unrestrict") }
  }

  private static let schema = #"""
    SET client_encoding = 'UTF8';
    CREATE EXTENSION pg_trgm;
    CREATE SCHEMA auth;
    CREATE TYPE auth.mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TYPE auth.pair AS (a int, b text);
    CREATE DOMAIN auth.positive AS int CHECK (VALUE > 0);
    CREATE SEQUENCE auth.counter START 41;
    SELECT nextval('auth.counter');
    CREATE TABLE every_type (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice int GENERATED ALWAYS AS (small * 2) STORED,
      small smallint, large bigint, exact numeric(30,10), single real, double double precision, money money,
      fixed char(5), varied varchar(20), long text, bytes bytea, day date, clock time, clock_zone timetz,
      moment timestamp, moment_zone timestamptz, span interval, flag bool, mood auth.mood, pair auth.pair,
      positive auth.positive, numbers int[], texts text[][], point point, line line, segment lseg, box box, path path,
      polygon polygon, circle circle, inet inet, cidr cidr, mac macaddr, mac8 macaddr8, bits bit(8), bits_varied varbit,
      vector tsvector, query tsquery, uuid uuid, json json, jsonb jsonb, range int4range, multi nummultirange,
      lsn pg_lsn, xid xid8, oid oid, class regclass, paths jsonpath);
    INSERT INTO every_type (small, large, exact, single, double, money, fixed, varied, long, bytes, day, clock,
      clock_zone, moment, moment_zone, span, flag, mood, pair, positive, numbers, texts, point, line, segment, box, path,
      polygon, circle, inet, cidr, mac, mac8, bits, bits_varied, vector, query, uuid, json, jsonb, range, multi, lsn, xid,
      oid, class, paths)
    SELECT i, i * 10000000000, i / 7.0, i / 3.0, 1e300 / (i + 1), i::money, 'ab', 'Grüße', repeat(E'line\tö\n\\', i % 50),
      decode(md5(i::text), 'hex'), date '2026-11-02' + i, '12:34:56.789', '12:34:56+02', 'infinity', '2026-11-02 03:00+01',
      '1 mon 2 days 03:04:05.6', i % 2 = 0, 'happy', (i, 'x"y')::auth.pair, i + 1, array[i, null], array[['a', 'b,c'], ['d', 'NULL']],
      '(1,2)', '{1,2,3}', '[(1,2),(3,4)]', '(1,2),(3,4)', '[(1,2),(3,4)]', '((1,2),(3,4),(5,6))', '<(1,2),3>',
      '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', b'10101010', b'101', 'a fat cat',
      'fat & cat', md5(i::text)::uuid, '{"a": 1,  "b": [2]}', '{"a": null}', '[1,10)', '{[1,2),[3,4)}', '16/B374D848',
      '12345', 1259, 'pg_class', '$.a[*]'
    FROM generate_series(1, 2000) i;
    INSERT INTO every_type DEFAULT VALUES;
    CREATE TABLE measures (at date NOT NULL, value float) PARTITION BY RANGE (at);
    CREATE TABLE measures_1 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
    CREATE TABLE measures_rest PARTITION OF measures DEFAULT;
    INSERT INTO measures SELECT date '2026-01-01' + i, i FROM generate_series(0, 364) i;
    CREATE INDEX ON measures (at);
    CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
    INSERT INTO child VALUES (1, 2);
    CREATE MATERIALIZED VIEW sums AS SELECT date_trunc('month', at) AS month, sum(value) FROM measures GROUP BY 1;
    CREATE VIEW few AS SELECT id, long FROM every_type WHERE id < 10;
    ALTER TABLE every_type ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON every_type FOR SELECT TO reader USING (id % 2 = 0);
    GRANT SELECT ON every_type, few TO reader;
    CREATE INDEX trigrams ON every_type USING gin (long gin_trgm_ops);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER touched BEFORE UPDATE ON every_type FOR EACH ROW EXECUTE FUNCTION touch();
    COMMENT ON TABLE every_type IS 'jeder Typ, für die Prüfung';
    SELECT lo_from_bytea(4711, decode(repeat('00ff10', 100000), 'hex'));
    SELECT lo_from_bytea(0, '\x');
    GRANT SELECT ON LARGE OBJECT 4711 TO reader;
    ALTER TABLE measures_rest ADD CONSTRAINT fine CHECK (value >= 0) NOT VALID;
    CREATE STATISTICS together ON small, large FROM every_type;
    CREATE PUBLICATION changes FOR TABLE parent;
    """#
}
