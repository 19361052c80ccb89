import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("Least privilege", .serialized) struct StoreRightsTests {
  @Test("the printed rights suffice for each part, and for nothing else, on a server that enforces them")
  func rights() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.ceph) { server in
        try server.makeBucket(ProtectedSite.bucket, .locking)
        try BackupSite.run(database, creating: false) { site in
          let lock = ", lock: {mode: governance, for: 1h}"
          try ProtectedSite.configure(site, server, more: lock)
          func keys(_ role: String) throws -> ProtectedSite.Keys {
            try server.makeUser(
              role, policy: try site.succeed("repository", "policy", "--store", "cloud", "--for", role))
          }
          let (append, prune, restore) = (try keys("append"), try keys("prune"), try keys("restore"))
          let (create, daemon) = (try keys("create"), try keys("daemon"))
          try ProtectedSite.configure(site, server, keys: create, more: lock)
          try site.succeed("repository", "create")
          try ProtectedSite.configure(site, server, keys: append, more: lock)
          try Numbers.create(database)
          let first = try Self.backUp(database, site)
          try Self.checkAppend(server, append, site, first)
          try ProtectedSite.configure(site, server, keys: append, prune: prune, more: lock)
          try Self.checkPrune(server, prune, site, first)
          try ProtectedSite.configure(site, server, keys: restore, more: lock)
          try Self.checkRestore(server, restore, site)
          try ProtectedSite.configure(site, server, keys: daemon, more: lock)
          try Self.checkDaemon(server, daemon, database, site)
        }
      }
    }
  }

  /// - Returns: The first of two backups.
  private static func backUp(_ database: PostgresServer, _ site: BackupSite) throws -> String {
    try site.withDaemon { daemon in
      try Numbers.add(1, database)
      let run = try site.json("run", "physical")
      #expect(run["outcome"].text == "succeeded" && run["warnings"] == .array([]), "\(run)")
      try Numbers.add(2, database)
      try site.backup()
      try Numbers.add(3, database)
      try site.waitUntilDurable(database)
      #expect(!daemon.log.contains("prune failed"), "\(daemon.log)")
      return try #require(run["backup"].text)
    }
  }

  private static func checkAppend(
    _ server: ObjectServer, _ keys: ProtectedSite.Keys, _ site: BackupSite, _ first: String
  ) throws {
    try site.succeed("delete", first)
    // Another process than the daemon: what its runs left is known to be nobody's.
    let result = try site.backupctl("prune", "--json")
    let report = try JSON(parsing: result.standardOutput)[0]
    #expect(result.succeeded && report["error"] == .null && report["refusal"]["summary"].text != nil, "\(report)")
    #expect(report["entries"].array?.contains { $0["reason"].text?.contains("a backup goes on") == true } == false)
    let told = try site.backupctl("prune")
    #expect(told.succeeded && told.standardError.components(separatedBy: "nothing was removed").count == 2, "\(told)")
    #expect(told.standardError.contains("prune-credentials"))
    try server.amazon(
      """
      root = words[1] + "/repository.json"
      version = s3.head_object(Bucket=words[0], Key=root)["VersionId"]
      assert refused(s3.delete_object, Bucket=words[0], Key=root)
      assert refused(s3.delete_object, Bucket=words[0], Key=root, VersionId=version)
      assert refused(s3.put_object, Bucket=words[0], Key="elsewhere/x", Body=b"1")
      assert refused(s3.list_objects_v2, Bucket=words[0], Prefix="elsewhere/")
      """, as: keys, ProtectedSite.bucket, ProtectedSite.prefix)
  }

  private static func checkPrune(
    _ server: ObjectServer, _ keys: ProtectedSite.Keys, _ site: BackupSite, _ first: String
  ) throws {
    let report = try site.json("prune")[0]
    #expect(report["error"] == .null && report["refusal"] == .null, "\(report)")
    #expect(report["entries"].array?.contains { $0["kind"].text == "leases" && $0["action"].text == "remove" } == true)
    let reports = try site.pruneReports(later: .seconds(3 * 86400))
    #expect(reports.allSatisfy { $0.error == nil && $0.refusal == nil }, "\(reports)")
    #expect(reports.flatMap(\.entries).contains { $0.name == first && $0.action == .remove }, "\(reports)")
    #expect(try site.json("backups").array?.count == 1)
    try server.amazon(
      """
      assert refused(s3.get_object, Bucket=words[0], Key=words[1] + "/repository.json")
      assert refused(s3.put_object, Bucket=words[0], Key=words[1] + "/tmp/x", Body=b"1")
      assert refused(s3.list_objects_v2, Bucket=words[0], Prefix=words[1] + "/")
      assert refused(s3.delete_object, Bucket=words[0], Key="elsewhere/x")
      """, as: keys, ProtectedSite.bucket, ProtectedSite.prefix)
  }

  private static func checkDaemon(
    _ server: ObjectServer, _ keys: ProtectedSite.Keys, _ database: PostgresServer, _ site: BackupSite
  ) throws {
    try site.withDaemon { daemon in
      try site.backup()
      try site.waitUntilDurable(database)
      #expect(!daemon.log.contains("prune failed"), "\(daemon.log)")
    }
    // Not beside that of the daemon.
    let report = try site.json("prune")[0]
    #expect(report["error"] == .null && report["refusal"] == .null, "\(report)")
    try server.amazon(
      """
      root = words[1] + "/repository.json"
      version = s3.head_object(Bucket=words[0], Key=root)["VersionId"]
      assert refused(s3.delete_object, Bucket=words[0], Key=root, VersionId=version)
      assert refused(s3.put_object, Bucket=words[0], Key="elsewhere/x", Body=b"1")
      """, as: keys, ProtectedSite.bucket, ProtectedSite.prefix)
  }

  private static func checkRestore(_ server: ObjectServer, _ keys: ProtectedSite.Keys, _ site: BackupSite) throws {
    let now = Timestamp.now().description
    #expect(try site.json("backups", "--as-of", now).array?.count == 1)
    #expect(try site.json("verify", "--full", "--as-of", now)[0]["sound"].bool == true)
    let directory = try site.fresh("restored")
    let report = try site.json("restore", directory, "--cluster", BackupSite.cluster)
    #expect(report["warnings"] == .array([]), "\(report)")
    try PostgresServer.startRestored(directory: directory) { copy in
      try copy.waitUntilPromoted()
      #expect(try Numbers.all(copy) == [1, 2, 3])
    }
    try server.amazon(
      """
      root = words[1] + "/repository.json"
      assert refused(s3.delete_object, Bucket=words[0], Key=root)
      assert refused(s3.put_object, Bucket=words[0], Key=words[1] + "/clusters/main/1/packs/x", Body=b"1")
      assert refused(s3.list_object_versions, Bucket=words[0], Prefix="elsewhere/")
      """, as: keys, ProtectedSite.bucket, ProtectedSite.prefix)
  }

  @Test(
    "the policies in etc/ are those that the program prints",
    arguments: ["daemon", "append", "prune", "restore", "create"])
  func examples(role: String) throws {
    try PostgresServer.run { database in
      try BackupSite.run(database, creating: false) { site in
        let local = "local: {path: \(site.store)}"
        let store = """
          cloud: {s3: {bucket: example-backups, region: eu-west-1, prefix: postgresql, storage-class: GLACIER_IR},
                  lock: {mode: compliance, for: 30d}}
          """
        try site.writeConfiguration(
          site.standardConfiguration.replacingOccurrences(of: local, with: "\(local)\n    \(store)"))
        let printed = try site.succeed("repository", "policy", "--store", "cloud", "--for", role)
        let file = Programs.source + "/etc/aws-policies/\(role).json"
        if ProcessInfo.processInfo.environment["BACKUPD_UPDATE_REFERENCE"] != nil {
          try printed.write(toFile: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == printed)
      }
    }
  }
}
