import Foundation
import TestSupport
import Testing

extension MovingCluster {
  /// Where a restore stops.
  enum Stop: String {
    /// Where the backup ended.
    case backup = "--target-immediate"
    case endOfWAL
  }

  /// Restores a backup and checks what every restore must be.
  ///
  /// - Parameters:
  ///   - files: Looks at the directory before PostgreSQL starts on it.
  ///   - check: Looks at the server that runs on it.
  func expectRestore(
    _ backup: JSON, to content: ClusterContent, stop: Stop = .backup,
    files: (String) throws -> Void = { _ in }, check: (PostgresServer) throws -> Void = { _ in }
  ) throws {
    let id = try #require(backup["id"].text)
    let directory = try site.fresh("restored-\(id)")
    var made = [directory]
    var arguments = ["restore", directory, "--cluster", BackupSite.cluster, "--backup", id]
    for tablespace in backup["tablespaces"].array ?? [] {
      // One in place has no location.
      guard let location = tablespace["location"].text, location.hasPrefix("/") else { continue }
      made.append("\(directory)-\(made.count)")
      arguments += ["--tablespace", "\(location)=\(made[made.count - 1])"]
    }
    if stop == .backup { arguments.append(stop.rawValue) }
    try site.succeed(arguments)
    let installation = server.installation
    let verified = try Program.run(installation.program("pg_verifybackup"), ["-n", directory], as: .postgres)
    #expect(verified.succeeded, "\(verified.standardError)")
    try files(directory)
    try PostgresServer.startRestored(directory: directory, version: installation.version) { copy in
      try copy.waitUntilPromoted()
      let found = try ClusterContent(copy)
      #expect(found == content, "\(found.difference(from: content))")
      try check(copy)
      // Where no WAL was replayed to speak of, the other databases are copies whose files were compared.
      try expectSound(copy, databases: stop == .backup ? ["postgres"] : ["--all"])
    }
    for path in made { try FileManager.default.removeItem(atPath: path) }
  }

  private func expectSound(_ copy: PostgresServer, databases: [String]) throws {
    let checked = try Program.run(
      copy.installation.program("pg_amcheck"),
      [
        "--heapallindexed", "--install-missing", "--jobs=2", "--host=\(copy.socketDirectory)", "--port=\(copy.port)",
        "--username=postgres",
      ] + databases)
    #expect(checked.succeeded, "\(checked.standardOutput)\(checked.standardError)")
  }

  /// Compares the relation files of a restore with those that the backup was taken of, byte by byte, free space maps and
  /// visibility maps included. Nothing may have been written to them since.
  ///
  /// What must be missing: temporary relations, and of unlogged ones all but the init fork.
  func expectSameFiles(_ directory: String) throws {
    let unlogged = try unloggedFiles()
    #expect(!unlogged.isEmpty)
    let temporary = try Program.succeed(
      "/usr/bin/find", ["-L", directory, "-regex", #".*/t[0-9]+_[0-9].*\|.*pgsql_tmp.*"#])
    #expect(temporary == "", "temporary relations were stored")
    for part in ["base", "global", "pg_tblspc"] {
      let compared = try Program.run(
        "/usr/bin/diff",
        [
          "-rq", "-x", "pg_internal.init", "-x", "pg_control", "-x", "t[0-9]*_[0-9]*", "-x", "pgsql_tmp*",
          "\(server.dataDirectory)/\(part)", "\(directory)/\(part)",
        ])
      for line in compared.standardOutput.split(separator: "\n") {
        let name = String(line.split(separator: " ").last ?? "")
        let isUnlogged = line.hasPrefix("Only in \(server.dataDirectory)") && unlogged.contains(Self.relation(name))
        #expect(isUnlogged && !name.hasSuffix("_init"), "\(line)")
      }
    }
    for name in unlogged {
      let found = try Program.succeed("/usr/bin/find", ["-L", directory, "-name", name + "*"])
      #expect(found.split(separator: "\n").map { $0.hasSuffix("/\(name)_init") } == [true], "\(found)")
    }
  }

  /// Names of the files of unlogged relations: tables, indexes, sequences and what is too wide for them.
  private func unloggedFiles() throws -> Set<String> {
    let paths = try server.psql(
      "select pg_relation_filepath(oid) from pg_class where relpersistence = 'u' and relkind in ('r', 'i', 't', 'S')")
    return Set(paths.split(separator: "\n").compactMap { $0.split(separator: "/").last.map(String.init) })
  }

  /// `16384` of `16384_vm` and of `16384.1`.
  private static func relation(_ file: String) -> String { String(file.prefix { $0.isNumber }) }
}
