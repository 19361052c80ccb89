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
            let requests = try site.json("run", "physical")["requests"][0]
            #expect(requests["store"].text == "cloud" && requests["retries"].integer == 0)
            #expect(try #require(requests["requests"].integer) > 5)
            #expect(try #require(requests["sentBytes"].integer) > 1 << 20)
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

  @Test(
    "of Google's, or on another host, takes backups and WAL, and a restore reads them",
    arguments: [ObjectServer.Kind.gcs, .sftp])
  func others(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try PostgresServer.run { database in
        try BackupSite.run(database, creating: false) { site in
          let store = try kind == .gcs ? CloudSite.google(server) : CloudSite.sftp(server, site)
          try site.writeConfiguration(
            site.standardConfiguration.replacingOccurrences(of: "local: {path: \(site.store)}", with: "cloud: \(store)")
          )
          try site.succeed("repository", "create")
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
          #expect(try site.json("repository", "probe", "cloud")["usable"].bool == true)
        }
      }
    }
  }

  @Test("whose keys are credentials that the command line names is restored from, by the restored server too")
  func credentials() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.rclone) { server in
        try CloudSite.run(database, server, alsoLocal: false) { site in
          try Numbers.create(database)
          try site.withDaemon { _ in
            try Numbers.add(1, database)
            try site.backup()
            try Numbers.add(2, database)
            try site.waitUntilDurable(database)
          }
          var text = try String(contentsOfFile: site.configuration, encoding: .utf8)
          for name in ["access", "secret"] {
            text = text.replacingOccurrences(
              of: "{file: \(site.directory)/\(name)}", with: "{credential: cloud-\(name)}")
          }
          try site.writeConfiguration(text)
          let options = ["access", "secret"].flatMap { ["--credential", "cloud-\($0)=\(site.directory)/\($0)"] }
          let refused = try site.backupctl("backups")
          #expect(refused.status == .exited(1) && refused.standardError.contains("--credential cloud-"), "\(refused)")
          #expect(try site.backupctl("backups", "--credential", "cloud-access").status == .exited(2))
          #expect(try site.json(["backups"] + options).array?.count == 1)
          let directory = try site.fresh("restored")
          try site.succeed(["restore", directory, "--cluster", BackupSite.cluster] + options)
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2])
          }
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

@Suite("Trying stores", .serialized) struct StoreProbeTests {
  @Test("says what each server really does", arguments: [ObjectServer.Kind.rclone, .ceph, .moto])
  func probes(kind: ObjectServer.Kind) throws {
    try ObjectServer.run(kind) { server in
      try PostgresServer.run { database in
        try CloudSite.run(database, server, alsoLocal: true) { site in
          let document = try site.json("repository", "probe")["stores"]
          #expect(document.array?.count == 2 && document[0]["usable"].bool == true)
          let cloud = document[1]
          func verdict(_ check: String) -> String? {
            cloud["findings"].array?.first { $0["check"].text == check }?["verdict"].text
          }
          for check in ["list", "write", "read", "listAfterWrite", "neverOverwrites", "delete"] {
            #expect(verdict(check) == "yes", "\(kind): \(check)")
          }
          // What is known of these servers.
          #expect(verdict("conditionalPut") == (kind == .rclone ? "no" : "yes"))
          #expect(verdict("signature") == (kind == .moto ? "no" : "yes"))
          #expect(verdict("payloadHash") == (kind == .ceph ? "yes" : "no"))
          #expect(verdict("versioning") == "no" && verdict("objectLock") == "no")
          // Nothing of it stays to be seen.
          #expect(try site.json("backups") == .array([]))
          #expect(try site.backupctl("repository", "probe", "nonesuch").status == .exited(2))
          try server.stop()
          #expect(try site.backupctl("repository", "probe", "cloud").status == .exited(1))
        }
      }
    }
  }

  @Test("prints policies that AWS can read, for each role")
  func policies() throws {
    try PostgresServer.run { database in
      try BackupSite.run(database, creating: false) { site in
        let store =
          "cloud: {s3: {bucket: oauth-backups, region: eu-west-1, prefix: pg/prod, storage-class: GLACIER}, durability: on-copy}"
        let local = "local: {path: \(site.store)}"
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(of: local, with: "\(local)\n    \(store)")
            + "  archive: {kind: copy, cluster: main, to: cloud}\n")
        func actions(_ role: String) throws -> Set<String> {
          let policy = try JSON(parsing: try site.succeed("repository", "policy", "--store", "cloud", "--for", role))
          let statements = try #require(policy["Statement"].array)
          #expect(policy["Version"].text == "2012-10-17")
          for statement in statements where statement["Effect"].text == "Allow" {
            for resource in statement["Resource"].array ?? [] {
              #expect(resource.text?.hasPrefix("arn:aws:s3:::oauth-backups") == true)
            }
          }
          return Set(statements.flatMap { $0["Action"].array ?? [] }.compactMap(\.text))
        }
        let append = try actions("append")
        #expect(append.isSuperset(of: ["s3:ListBucket", "s3:GetObject", "s3:PutObject"]))
        #expect(try !append.contains("s3:DeleteObject") && actions("daemon") == append.union(["s3:DeleteObject"]))
        #expect(try actions("prune") == ["s3:DeleteObject"])
        #expect(try actions("restore").isSuperset(of: ["s3:RestoreObject", "s3:GetObjectVersion"]))
        let restore = try site.succeed("repository", "policy", "--store", "cloud", "--for", "restore", "--yaml")
        #expect(restore.contains("oauth-backups/pg/prod/clusters/*/*/leases/*") && !restore.contains("backups/*\""))
        #expect(try site.succeed("repository", "policy") == site.succeed("repository", "policy", "--store", "cloud"))
        #expect(try site.backupctl("repository", "policy", "--store", "local").status == .exited(2))
        #expect(try site.backupctl("repository", "policy", "--json", "--yaml").status == .exited(2))
        #expect(try site.backupctl("repository", "policy", "--store", "cloud", "--for", "thief").status == .exited(2))
      }
    }
  }
}

extension StoreProbeTests {
  @Test("prints policies that open the repository's keys, and let nobody write over what is there")
  func keyPolicies() throws {
    let encryption =
      "[{aws-kms: alias/backup, region: cn-north-1}, {aws-kms: \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"}]"
    try PostgresServer.run { database in
      try BackupSite.run(database, creating: false, change: { $0.encryption = encryption }) { site in
        let local = "local: {path: \(site.store)}"
        let cloud = "cloud: {s3: {bucket: b, region: cn-north-1}, lock: {mode: compliance, for: 30d}}"
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(of: local, with: "\(local)\n    \(cloud)"))
        func statements(_ role: String) throws -> [JSON] {
          let policy = try JSON(parsing: try site.succeed("repository", "policy", "--store", "cloud", "--for", role))
          return try #require(policy["Statement"].array)
        }
        func rights(_ role: String) throws -> [JSON] {
          try statements(role).filter { $0["Sid"].text?.hasPrefix("Key") == true }
        }
        for role in ["daemon", "append", "restore"] {
          #expect(try rights(role).map(\.["Action"]) == Array(repeating: .array([.text("kms:Decrypt")]), count: 2))
        }
        #expect(try rights("prune").isEmpty)
        let create = try rights("create")
        #expect(create.allSatisfy { $0["Action"] == .array([.text("kms:Encrypt"), .text("kms:Decrypt")]) })
        #expect(create[0]["Resource"] == .array([.text("arn:aws-cn:kms:cn-north-1:*:key/*")]))
        let alias = create[0]["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"]
        #expect(alias == .array([.text("alias/backup")]))
        #expect(
          create[1]["Resource"]
            == .array([.text("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")]))
        for statement in create {
          #expect(
            statement["Condition"]["Null"]["kms:EncryptionContext:backupd-repository"] == .array([.text("false")]))
        }
        let denials = try statements("append").filter { $0["Effect"].text == "Deny" }
        #expect(denials.compactMap { $0["Sid"].text } == ["NoOverwriting", "NoLongerLock"])
        #expect(denials.allSatisfy { $0["Resource"][0].text?.hasPrefix("arn:aws-cn:s3:::b/") == true })
        let days = denials[1]["Condition"]["NumericGreaterThan"]["s3:object-lock-remaining-retention-days"]
        #expect(days == .array([.text("31")]))
      }
    }
  }
}

/// Sites whose repository lies in a bucket.
enum CloudSite {
  static let bucket = "backups"

  /// What a configuration says of a store in Google's protocol.
  static func google(_ server: ObjectServer) throws -> String {
    let bucket = (server.facts["data"] ?? "") + "/google"
    try FileManager.default.createDirectory(atPath: bucket, withIntermediateDirectories: true)
    return "{gcs: {bucket: google, endpoint: \"\(server.endpoint)\", prefix: pg, credentials: none}}"
  }

  /// Of one behind OpenSSH.
  static func sftp(_ server: ObjectServer, _ site: BackupSite) throws -> String {
    // The daemon's user logs in with a key of its own.
    for (fact, name) in [("key", "id"), ("known_hosts", "known_hosts")] {
      let path = site.directory + "/" + name
      try FileManager.default.copyItem(atPath: server.facts[fact] ?? "", toPath: path)
      try ProgramUser.postgres.own(path)
    }
    let address = server.endpoint.split(separator: "@").last?.split(separator: ":") ?? []
    let user = server.endpoint.dropFirst("sftp://".count).prefix { $0 != "@" }
    return """
      {sftp: {host: \(address[0]), port: \(address[1]), user: \(user), path: \(server.directory)/store,
            known-hosts: \(site.directory)/known_hosts, key-file: \(site.directory)/id}}
      """
  }

  static func run<Result>(
    _ database: PostgresServer, _ server: ObjectServer, alsoLocal: Bool = false, place: String = "",
    more: String = "", jobs: String = "", _ body: (BackupSite) throws -> Result
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
              credentials: {access-key: {file: \(site.directory)/access}, secret-key: {file: \(site.directory)/secret}}\(place)}\(more)}
        """
      let local = "local: {path: \(site.store)}"
      let stores = alsoLocal ? "\(local)\n    \(store)" : store
      try site.writeConfiguration(site.standardConfiguration.replacingOccurrences(of: local, with: stores) + jobs)
      try site.succeed("repository", "create")
      return try body(site)
    }
  }
}

@Suite("Several stores", .serialized) struct SeveralStoresTests {
  @Test("an eventual store is filled while the daemon runs, also after it was away, and restores alone")
  func eventual() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.rclone) { server in
        try CloudSite.run(database, server, alsoLocal: true, more: ", durability: eventual") { site in
          try Numbers.create(database)
          let data = try #require(server.facts["data"]) + "/" + CloudSite.bucket
          try site.withDaemon { _ in
            try Numbers.add(1, database)
            try site.backup()
            try site.waitUntilFilled("cloud")
            // The bucket is away: backups go on, and are there once it is back.
            try FileManager.default.moveItem(atPath: data, toPath: data + ".away")
            try Numbers.add(2, database)
            try ArchiveCommandTests.fill(database, 3)
            #expect(try site.json("run", "physical")["outcome"].text == "succeeded")
            try site.waitUntilDurable(database)
          }
          try FileManager.default.moveItem(atPath: data + ".away", toPath: data)
          try site.withDaemon { _ in try site.waitUntilFilled("cloud") }
          let status = try site.json("backups")
          #expect(status.array?.count == 2 && status[1]["missingStores"] == .array([]))
          // Only the bucket is left.
          try FileManager.default.removeItem(atPath: site.store)
          let directory = try site.fresh("restored")
          try site.succeed("restore", directory, "--cluster", BackupSite.cluster)
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2, 3])
          }
        }
      }
    }
  }

  @Test("a required store that is away leaves a backup incomplete, and completes it once it is back")
  func incomplete() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.rclone) { server in
        try CloudSite.run(database, server, alsoLocal: true) { site in
          try Numbers.create(database)
          try site.withDaemon { _ in
            try Numbers.add(1, database)
            try site.backup()
            try server.stop()
            try Numbers.add(2, database)
            let run = try site.json(["run", "physical"], deadline: .seconds(600))
            #expect(run["outcome"].text == "incomplete", "\(run)")
            let backup = try site.json("backups")[1]
            #expect(backup["stores"] == .array([.text("local")]) && backup["id"] == run["backup"])
            try server.startAgain()
            try Poll.until(.seconds(180), "the backup to be completed", every: .milliseconds(500)) {
              try site.json("backups")[1]["missingStores"] == .array([])
            }
            try site.waitUntilDurable(database)
          }
          let report = try site.json("verify", "--full")
          #expect(report.array?.allSatisfy { $0["sound"].bool == true } == true)
        }
      }
    }
  }
}

extension BackupSite {
  /// Returns once a store holds what the others hold.
  func waitUntilFilled(_ store: String) throws {
    try Poll.until(.seconds(120), "store \(store) to be filled", every: .milliseconds(500)) {
      let held = try json("backups").array ?? []
      let isListed = !held.isEmpty && held.allSatisfy { $0["missingStores"] == .array([]) }
      let status = try json("status")["stores"].array?.first { $0["name"].text == store }
      return isListed && status?["missingObjects"].integer == 0 && status?["error"] == .null
    }
  }
}
