import BackupModel
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// A cluster that is changed between its backups and while they are taken, and what each restore of it must be.
struct MovingCluster {
  let server: PostgresServer
  let site: BackupSite
  let source: String

  /// Versions of PostgreSQL, and where the pages come from: all of them in the soak tests, which are chosen by name.
  static func combinations(shortly few: (Int, String)...) -> [(Int, String)] {
    Soak.isOn ? [(15, "stream"), (15, "direct"), (18, "stream"), (18, "direct")] : few
  }

  /// Nothing but the test and the backups writes: what lies on disk after a backup's checkpoint stays as it is.
  static let quiet = [
    "autovacuum": "off", "bgwriter_lru_maxpages": "0", "checkpoint_timeout": "1h", "shared_buffers": "128MB",
    "max_wal_size": "4GB", "allow_in_place_tablespaces": "on",
  ]

  /// The cluster, its repository and the daemon, which receives no WAL but that of its backups.
  static func run(
    version: Int, source: String, initdb: [String] = [], _ body: (MovingCluster) throws -> Void
  ) throws {
    try PostgresServer.run(version: version, options: quiet, initdb: initdb) { server in
      let change: (inout BackupSite.Options) -> Void = { options in
        options.physical = ["source: \(source)", "retries: 0"]
        options.clusterKeys = ["data-directory: \(server.dataDirectory)"]
        options.streamsWAL = false
      }
      try BackupSite.run(server, change: change) { site in
        try site.withDaemon { _ in
          try body(MovingCluster(server: server, site: site, source: source))
        }
      }
    }
  }

  /// Takes a backup, which must take over from the one before.
  /// - Returns: What `show` says of it.
  func backUp(after parent: JSON? = nil) throws -> JSON {
    let backup = try site.json("show", try site.backup())
    #expect(backup["source"].text == source && backup["parent"] == (parent?["id"] ?? .null))
    #expect(backup["damagedPages"] == .array([]) && backup["warnings"] == .array([]), "\(backup["warnings"])")
    return backup
  }

  /// From now on the daemon receives all WAL.
  func beginStreaming() throws {
    try site.writeConfiguration(
      site.standardConfiguration + "\n  wal: {kind: wal, cluster: main, partial-interval: 1s}\n")
    try site.succeed("reload")
    try site.waitUntilStreaming()
  }

  /// Takes a backup while a script runs again and again, as a whole each time.
  func backUp(after parent: JSON, while script: String) throws -> JSON {
    let backup = try whileRunning(script) { try backUp(after: parent) }
    let start = try LSN(try #require(backup["startLSN"].text))
    let stop = try LSN(try #require(backup["stopLSN"].text))
    #expect(stop - start > 100_000, "nothing moved during the backup")
    return backup
  }

  private func whileRunning<Value>(_ script: String, _ body: () throws -> Value) throws -> Value {
    let stop = Atomic(false)
    let failure = Mutex<String?>(nil)
    let server = self.server
    let thread = Thread {
      repeat {
        do {
          try server.psql(script)
        } catch {
          failure.withLock { $0 = "\(error)" }
          return
        }
      } while !stop.load(ordering: .relaxed)
    }
    thread.start()
    let result = Swift.Result { try body() }
    stop.store(true, ordering: .relaxed)
    while !thread.isFinished { usleep(10_000) }
    if let failure = failure.withLock({ $0 }) { throw EndToEndError.unexpected(failure) }
    return try result.get()
  }
}

// MARK: - Content

/// All rows of all tables of all databases: a line for each table, with its digest.
struct ClusterContent: Equatable {
  var lines: Set<String>

  init(_ server: PostgresServer) throws {
    lines = []
    let databases = try server.psql("select datname from pg_database where datallowconn and datname <> 'template0'")
    for database in databases.split(separator: "\n").map(String.init) {
      let tables = try server.psql(Self.query, database: database)
      lines.formUnion(tables.split(separator: "\n").map { "\(database): \($0)" })
      lines.insert("\(database): \(tables.split(separator: "\n").count) tables")
    }
  }

  private static let query = """
    select format('select %L || '' '' || count(*) || '' '' || coalesce(md5(string_agg(r::text, '','' order by r::text)), '''') '
      || 'from %s r', c.oid::regclass, c.oid::regclass)
    from pg_class c where relkind in ('r', 'm') and relpersistence = 'p'
      and relnamespace not in (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema'))
    order by c.oid::regclass::text \\gexec
    """

  /// What differs, for the message of a failed expectation.
  func difference(from other: ClusterContent) -> String {
    "only here \(lines.subtracting(other.lines).sorted()), only there \(other.lines.subtracting(lines).sorted())"
  }
}
