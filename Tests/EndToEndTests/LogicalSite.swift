import Foundation
import TestSupport

/// A daemon with jobs of kind `logical` on a server's database `app`, and nothing else to do.
enum LogicalSite {
  /// - Parameter jobs: `name: {keys}`; what all of them have is put before.
  static func run(
    _ server: PostgresServer, keys: [String] = [], store: String? = nil, connection: String? = nil, jobs: [String],
    _ body: (BackupSite, RunningDaemon) throws -> Void
  ) throws {
    let change: (inout BackupSite.Options) -> Void = {
      $0.streamsWAL = false
      $0.clusterKeys = keys
      $0.storePath = store
      if let connection { $0.connection = connection }
    }
    try BackupSite.run(server, change: change) { site in
      let lines = jobs.map {
        "  "
          + $0.replacing(
            ": {", with: ": {kind: logical, cluster: main, database: app, retries: 0, ", maxReplacements: 1)
      }
      try site.writeConfiguration(site.standardConfiguration + lines.joined(separator: "\n") + "\n\n")
      try site.withDaemon { try body(site, $0) }
    }
  }

  /// Database `app` with about 100 MiB of rows that hardly compress to less than half: more than one pack.
  static func seed(_ server: PostgresServer) throws {
    try server.psql("CREATE DATABASE app")
    try server.psql(
      """
      CREATE TABLE big (id int, text text);
      INSERT INTO big SELECT i, (SELECT string_agg(md5((i * 8 + k)::text), '') FROM generate_series(1, 8) k)
        FROM generate_series(1, 400000) i;
      CREATE TABLE small AS SELECT i, md5(i::text) FROM generate_series(1, 50000) i
      """, database: "app")
  }

  /// Returns once rows of table `big` are on their way.
  static func waitUntilCopying(_ server: PostgresServer) throws {
    try Poll.until(.seconds(60), "pg_dump copying", every: .milliseconds(20)) {
      let query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'backupd dump' AND state = 'active' AND query LIKE 'COPY public.big%'
        """
      return try server.psql(query) != "0"
    }
  }

  /// The last run of a job, once it has ended.
  static func ended(_ site: BackupSite, _ job: String) throws -> JSON {
    var found = JSON.null
    try Poll.until(.seconds(120), "the end of \(job)", every: .milliseconds(50)) {
      found = try site.json("runs", job).array?.last ?? .null
      return found["outcome"].text != nil
    }
    return found
  }

  /// Processes that a process has started, with their command lines.
  static func children(of parent: Int32) throws -> [(pid: Int32, command: String)] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { name in
      guard let pid = Int32(name), let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
        status.contains("\nPPid:\t\(parent)\n"),
        let command = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/cmdline"))
      else { return nil }
      return (pid, String(decoding: command, as: UTF8.self).replacing("\0", with: " "))
    }
  }
}
