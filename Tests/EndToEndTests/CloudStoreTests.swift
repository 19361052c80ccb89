import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("A store in the cloud", .serialized) struct CloudStoreTests {
  @Test("takes backups and WAL, and a restore reads them", arguments: [ObjectServer.Kind.rclone, .ceph])
  func restores(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try PostgresServer.run { database in
        try CloudSite.run(database, server) { site in
          try Numbers.create(database)
          try site.withDaemon { _ in
            try Numbers.add(1, database)
            try site.backup()
            try Numbers.add(2, database)
            try site.waitUntilDurable(database)
          }
          let directory = try site.fresh("restored")
          try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2])
          }
          let report = try site.json("verify", "--full")
          #expect(report[0]["sound"].bool == true && report[0]["stores"] == .array([.text("cloud")]))
        }
      }
    }
  }

  @Test("that is away leaves restores to the other one, and its secrets are nowhere")
  func fallsOver() throws {
    try PostgresServer.run { database in
      let log = try ObjectServer.run(.rclone) { server in
        try CloudSite.run(database, server, alsoLocal: true) { site in
          try Numbers.create(database)
          var log = ""
          try site.withDaemon { daemon in
            try Numbers.add(1, database)
            try site.backup()
            try site.waitUntilDurable(database)
            log = daemon.log
          }
          try server.stop()
          let directory = try site.fresh("restored")
          try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1])
          }
          #expect(try site.json("backups")[0]["stores"] == .array([.text("local")]))
          let marked = try Program.run("/bin/grep", ["-rl", server.facts["secret"] ?? "?", site.state, site.store])
          #expect(marked.standardOutput == "")
          return log + (server.facts["secret"] ?? "?")
        }
      }
      let secret = log.suffix(18)
      #expect(!log.dropLast(18).contains(secret))
    }
  }
}

/// Sites whose repository lies in a bucket.
enum CloudSite {
  static let bucket = "backups"

  static func run<Result>(
    _ database: PostgresServer, _ server: ObjectServer, alsoLocal: Bool = false, more: String = "",
    _ body: (BackupSite) throws -> Result
  ) throws -> Result {
    try server.makeBucket(bucket)
    return try BackupSite.run(database, creating: false) { site in
      for (name, value) in [("access", server.facts["key"]), ("secret", server.facts["secret"])] {
        let path = site.directory + "/" + name
        try (value ?? "").write(toFile: path, atomically: false, encoding: .utf8)
        try ProgramUser.postgres.own(path)
        #expect(chmod(path, 0o600) == 0)
      }
      let store = """
        cloud: {s3: {bucket: \(bucket), region: \(server.facts["region"] ?? "us-east-1"), endpoint: "\(server.endpoint)",
              credentials: {access-key: {file: \(site.directory)/access}, secret-key: {file: \(site.directory)/secret}}}\(more)}
        """
      let local = "local: {path: \(site.store)}"
      let stores = alsoLocal ? "\(local)\n    \(store)" : store
      try site.writeConfiguration(site.standardConfiguration.replacingOccurrences(of: local, with: stores))
      try site.succeed("repository", "create")
      return try body(site)
    }
  }
}
