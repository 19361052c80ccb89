import FoundationEssentials
import TestSupport
import Testing

@Suite("Many relation files") struct ManyFilesTests {
  @Test("need little memory, in a backup and in a restore") func small() throws {
    try ManyFiles.run(source: "direct", tables: 2500, databases: 2) { few, many in
      #expect(many.peak < few.peak + 150 << 20 && many.peak < 256 << 20 && many.restorePeak < 256 << 20)
    }
  }
}

@Suite("Many relation files, Soak", .serialized, .enabled(if: Soak.isOn)) struct ManyFilesSoak {
  @Test("need little memory and time: 200,000", arguments: ["stream", "direct"])
  func full(source: String) throws {
    try ManyFiles.run(source: source, tables: 20_000, databases: 10) { few, many in
      #expect(many.peak < few.peak + 150 << 20 && many.peak < 256 << 20 && many.restorePeak < 256 << 20)
      #expect(max(many.first, many.second) < few.first + 120)
    }
  }
}

/// What one cluster costs: seconds and bytes.
private struct ManyFiles {
  /// The first backup, and one after it of what hardly changed.
  var first = 0.0
  var second = 0.0
  /// The most that the daemon, and `backupctl restore`, ever held.
  var peak = 0
  var restorePeak = 0

  static func run(source: String, tables: Int, databases: Int, _ body: (ManyFiles, ManyFiles) throws -> Void) throws {
    try PostgresServer.run { server in
      let change: (inout BackupSite.Options) -> Void = {
        $0.physical = ["source: \(source)"]
        $0.clusterKeys = ["data-directory: \(server.dataDirectory)"]
      }
      try server.pgbenchInitialize(scale: 2)
      let few = try BackupSite.run(server, change: change) { try backUp($0, server, "few files, \(source)") }
      try create(tables, databases, server)
      let files = "\(tables * databases) relations of one page, \(source)"
      let many = try BackupSite.run(server, change: change) { site in
        var many = try backUp(site, server, files)
        try many.restore(site, server, files)
        return many
      }
      try body(few, many)
    }
  }

  /// Each a file of one page; databases are copies of the first.
  private static func create(_ tables: Int, _ databases: Int, _ server: PostgresServer) throws {
    try server.psql("create database many1")
    for first in stride(from: 0, to: tables, by: 1000) {
      try server.psql(
        """
        do $$ begin for i in \(first)..\(min(first + 1000, tables) - 1) loop
          execute format('create table t%s as select %s as i', i, i);
        end loop; end $$
        """, database: "many1")
    }
    for number in stride(from: 2, through: databases, by: 1) {
      try server.psql("create database many\(number) template many1 strategy file_copy")
    }
    try server.psql("checkpoint")
  }

  private static func backUp(_ site: BackupSite, _ server: PostgresServer, _ what: String) throws -> ManyFiles {
    var found = ManyFiles()
    try site.withDaemon { daemon in
      found.first = try seconds { try site.backup() }
      try server.psql("update pgbench_branches set bbalance = bbalance + 1")
      found.second = try seconds { try site.backup() }
      found.peak = try daemon.memory("VmHWM")
      try site.waitUntilDurable(server)
    }
    Programs.note("\(what): first \(found.first) s, second \(found.second) s; daemon \(found.peak >> 20) MiB")
    return found
  }

  private mutating func restore(_ site: BackupSite, _ server: PostgresServer, _ what: String) throws {
    let directory = try site.fresh("restored")
    let seconds = try Self.seconds { restorePeak = try site.restoreMeasured(to: directory) }
    try Program.succeed(
      server.installation.program("pg_verifybackup"), ["-n", directory], as: .postgres, deadline: .seconds(600))
    try PostgresServer.startRestored(directory: directory, version: server.version, deadline: .seconds(600)) { copy in
      try copy.waitUntilPromoted()
      let databases = "select count(*) from pg_database"
      #expect(try copy.psql(databases) == server.psql(databases))
      #expect(try copy.psql("select i from t1234", database: "many2") == "1234")
    }
    Programs.note("\(what): restored in \(seconds) s, with \(restorePeak >> 20) MiB")
  }

  private static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    return (ContinuousClock.now - start) / .seconds(1)
  }
}
