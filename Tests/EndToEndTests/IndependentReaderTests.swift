import FoundationEssentials
import TestSupport
import Testing

/// `Tests/Format/read_repository.py` shares no code with the programs: what it can restore, the format's page describes.
@Suite("A reader written from the format's page") struct IndependentReaderTests {
  private static let unset =
    "BACKUPD_TEST_PYTHON is not set: it names a python with the packages of scripts/python-requirements.txt, which \"make setup\" installs"

  private struct Reader {
    let python: String
    let script: String
    let site: BackupSite

    /// The script is copied to where user `postgres` can read it.
    init(_ site: BackupSite) throws {
      let environment = ProcessInfo.processInfo.environment
      python = try #require(environment["BACKUPD_TEST_PYTHON"], Comment(rawValue: IndependentReaderTests.unset))
      script = site.directory + "/read_repository.py"
      self.site = site
      let source = URL(filePath: #filePath).deletingLastPathComponent().path + "/../Format/read_repository.py"
      try String(contentsOfFile: source, encoding: .utf8).write(toFile: script, atomically: false, encoding: .utf8)
    }

    @discardableResult
    func succeed(_ arguments: String...) throws -> String {
      try Program.succeed(
        python, [script, "--key-file", site.keyFile, site.store] + arguments, as: .postgres, deadline: .seconds(300))
    }
  }

  @Test("verifies a repository, and restores a backup with a tablespace that PostgreSQL accepts", arguments: [15, 18])
  func readsRepository(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      _ = try server.createTablespace("second")
      try server.psql("create table kept (n int, t text)")
      try server.psql("insert into kept select n, repeat('kept ', n % 100) from generate_series(1, 20000) n")
      try server.psql("create table elsewhere tablespace second as select * from kept")
      try BackupSite.run(server) { site in
        let backup = try site.withDaemon { _ in
          let backup = try site.backup()
          try server.psql("insert into kept values (0, 'in the open segment')")
          try site.waitUntilDurable(server)
          return backup
        }
        let reader = try Reader(site)
        #expect(try Program.succeed(reader.python, [reader.script, "vectors"]).contains("vectors fit"))
        let verified = try reader.succeed("verify")
        #expect(verified.contains("backup \(backup): all files whole"))

        let directory = try site.fresh("restored")
        try reader.succeed("restore", backup, directory)
        let said = try Program.succeed(
          server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres)
        #expect(said.contains("backup successfully verified"))
      }
    }
  }

  @Test("writes a dump as pg_dump wrote it") func readsDump() throws {
    try PostgresServer.run { server in
      try LogicalJobTests.seed(server)
      try LogicalJobTests.withSite(server) { site in
        try site.succeed("run", "logical")
        try server.psql("UPDATE users SET name = 'changed' WHERE id % 500 = 0", database: "app")
        let backup = try #require(try site.json("run", "logical")["backup"].text)
        let reader = try Reader(site)
        #expect(try reader.succeed("verify").contains("backup \(backup): all files whole"))
        let (theirs, ours) = (site.directory + "/theirs.dump", site.directory + "/ours.dump")
        try reader.succeed("dump", backup, "custom", theirs)
        try site.succeed("dump", backup, "--output", ours)
        #expect(try Program.run("/usr/bin/cmp", [theirs, ours], as: .postgres).succeeded)
      }
    }
  }

  @Test("refuses a pack with a changed byte and a key file that is another one")
  func refusesDamage() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try site.withDaemon { _ in _ = try site.backup() }
        let reader = try Reader(site)
        let find = "find \"$1\" -path '*/packs/*' -type f | sort | head -n 1"
        let pack = try Program.succeed("/bin/sh", ["-c", find, "sh", site.store]).split(separator: "\n").first
        let path = String(try #require(pack))
        try Program.succeed(
          "/bin/sh", ["-c", "printf X | dd of=\"$1\" bs=1 seek=1000 conv=notrunc status=none", "sh", path])
        let damaged = try Program.run(
          reader.python, [reader.script, "--key-file", site.keyFile, site.store, "verify"], as: .postgres)
        #expect(damaged.status == .exited(1))
        #expect(damaged.standardError.hasPrefix("refused: clusters/main/"))
        #expect(damaged.standardError.contains("does not open"))

        try Program.succeed(
          "/bin/sh", ["-c", "rm \"$1\" && cp \"$2\" \"$1\"", "sh", site.keyFile, otherKeyFile(site)], as: .postgres)
        let locked = try Program.run(
          reader.python, [reader.script, "--key-file", site.keyFile, site.store, "list"], as: .postgres)
        #expect(locked.status == .exited(1))
        #expect(locked.standardError.contains("no envelope for key file"))
      }
    }
  }

  /// The key file of a second repository.
  private func otherKeyFile(_ site: BackupSite) throws -> String {
    let path = site.directory + "/other.key"
    let text = try String(contentsOfFile: site.configuration, encoding: .utf8)
    let other = site.directory + "/other.yaml"
    try text.replacing(site.keyFile, with: path).replacing(site.store, with: site.directory + "/other")
      .write(toFile: other, atomically: false, encoding: .utf8)
    try site.succeed("repository", "create", "--config", other)
    return path
  }
}
