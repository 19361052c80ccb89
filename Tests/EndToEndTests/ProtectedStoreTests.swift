import BackupModel
import Foundation
import TestSupport
import Testing

@Suite("A store that thieves cannot empty", .serialized) struct ProtectedStoreTests {
  @Test("is restored as it was before everything in it was deleted and overwritten")
  func thief() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.ceph) { server in
        try ProtectedSite.run(database, server, .versioned, alsoLocal: true) { site in
          try Numbers.create(database)
          let (backup, moment) = try site.withDaemon { _ in
            try Numbers.add(1, database)
            let backup = try site.backup()
            try Numbers.add(2, database)
            try site.waitUntilDurable(database)
            return (backup, try Timestamp.nextSecond())
          }
          try server.amazon(
            """
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=words[0])
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            assert all(any(f"/{kind}/" in key for key in keys) for kind in ("packs", "backups", "wal")), keys
            for key in keys: s3.delete_object(Bucket=words[0], Key=key)
            s3.put_object(Bucket=words[0], Key=words[1] + "/repository.json", Body=b"pay")
            """, ProtectedSite.bucket, ProtectedSite.prefix)
          try FileManager.default.removeItem(atPath: site.store)
          #expect(try site.backupctl("backups").status == .exited(1))
          let past = ["--as-of", moment.description]
          let listed = try site.backupctl(["backups"] + past + ["--json"])
          #expect(listed.succeeded && listed.standardError.contains("store \"local\" is left out"), "\(listed)")
          #expect(try JSON(parsing: listed.standardOutput)[0]["id"].text == backup)
          #expect(try site.json(["show", backup] + past)["id"].text == backup)
          #expect(try site.json(["verify", "--full"] + past)[0]["sound"].bool == true)
          let directory = try site.fresh("restored")
          try site.succeed(["restore", directory, "--cluster", BackupSite.cluster] + past)
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2])
          }
          let early = try site.backupctl(["backups", "--as-of", (moment - .seconds(86400)).description])
          #expect(early.status == .exited(1) && early.standardError.contains("could not find a repository"), "\(early)")
          #expect(try site.backupctl(["backups", "--as-of", "2999-01-01 00:00:00Z"]).status == .exited(2))
        }
      }
    }
  }

  @Test("is restored to its end after everything in it was overwritten and its packs deleted, and that is told")
  func spoilt() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.ceph) { server in
        try ProtectedSite.run(database, server, .versioned) { site in
          try Numbers.create(database)
          let backup = try site.withDaemon { _ in
            try Numbers.add(1, database)
            let backup = try site.backup()
            try Numbers.add(2, database)
            try database.psql("select pg_switch_wal()")
            try Numbers.add(3, database)
            try site.waitUntilDurable(database)
            return backup
          }
          // Of other lengths, of the same, with the beginning that it had; and what is deleted after all.
          try server.amazon(
            """
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=words[0])
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
            kinds = ["packs", "metadata", "backups", "wal"]
            spoilt = [key for key in keys if any(f"/{kind}/" in key for kind in kinds)]
            assert all(any(f"/{kind}/" in key for key in spoilt) for kind in kinds), keys
            for number, key in enumerate(spoilt):
                old = s3.get_object(Bucket=words[0], Key=key)["Body"].read()
                half = len(old) // 2
                for junk in [b"pay", bytes(len(old)), old[:half] + bytes(len(old) - half)][number % 3:]:
                    s3.put_object(Bucket=words[0], Key=key, Body=junk)
                if number % 4 == 0 and ("/packs/" in key or "/metadata/" in key):
                    s3.delete_object(Bucket=words[0], Key=key)
            """, ProtectedSite.bucket)
          // The store is seen as it is where that is the question.
          #expect(try site.backupctl("verify", "--full").status == .exited(1))
          #expect(try site.json("show", backup)["id"].text == backup)
          let directory = try site.fresh("restored")
          let restored = try site.backupctl("restore", directory, "--cluster", BackupSite.cluster)
          #expect(restored.succeeded && restored.standardOutput.contains("read from elsewhere"), "\(restored)")
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2, 3])
          }
          // What only lies below is there until the bucket is swept: a new backup has everything of its own.
          let next = try site.withDaemon { _ in try site.backup() }
          #expect(try site.json("verify", next, "--full")[0]["sound"].bool == true)
        }
      }
    }
  }

  @Test("says by name that a directory and a bucket without versions keep nothing of what was deleted")
  func noPast() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.rclone) { server in
        try CloudSite.run(database, server, alsoLocal: true) { site in
          let result = try site.backupctl(["backups", "--as-of", Timestamp.now().description])
          #expect(result.status == .exited(1))
          for word in ["cloud:", "local:", site.store, "versioning"] {
            #expect(result.standardError.contains(word), "\(word): \(result.standardError)")
          }
        }
      }
    }
  }

  @Test("is locked, for longer when a new backup leans on what is there, and prune waits until it ends")
  func locks() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.ceph) { server in
        try ProtectedSite.run(database, server, .locking, more: ", lock: {mode: governance, for: 2d}") { site in
          try Numbers.create(database)
          let first = try site.withDaemon { _ in
            try Numbers.add(1, database)
            let first = try site.backup()
            try site.waitUntilDurable(database)
            return first
          }
          let before = try Self.lockedHours(server)
          #expect(before.count { $0.key.contains("/packs/") } > 0 && before.count { $0.key.contains("/wal/") } > 0)
          for (key, hours) in before {
            let isFree = ["/tmp/", "/leases/", "/checkpoints/", ".partial/"].contains { key.contains($0) }
            #expect(isFree ? hours == nil : hours.map { (47...48).contains($0) } == true, "\(key): \(hours ?? -1)")
          }
          try ProtectedSite.configure(site, server, more: ", lock: {mode: governance, for: 30d}")
          try site.withDaemon { _ in
            try Numbers.add(2, database)
            let run = try site.json("run", "physical")
            #expect(run["outcome"].text == "succeeded" && run["warnings"] == .array([]), "\(run)")
          }
          let after = try Self.lockedHours(server)
          let leaning = after.filter { $0.key.contains("/packs/") || $0.key.contains("/keys/") }
          #expect(!leaning.isEmpty && leaning.allSatisfy { $0.value.map { $0 >= 719 } == true }, "\(leaning)")
          #expect(after["\(ProtectedSite.prefix)/repository.json"].flatMap { $0 }.map { $0 >= 719 } == true)
          // Nobody leans on the first backup's manifest.
          #expect(after.first { $0.key.hasSuffix(first) }?.value.map { $0 <= 48 } == true)
          try Self.checkPrune(site, first)
        }
      }
    }
  }

  /// Deleted, the backup goes when its lock has ended and not before.
  private static func checkPrune(_ site: BackupSite, _ first: String) throws {
    try site.succeed("delete", first)
    func fates(later hours: Int64) throws -> [String: String] {
      let reports = try site.pruneReports(later: .seconds(hours * 3600))
      #expect(reports.allSatisfy { $0.error == nil && $0.refusal == nil }, "\(reports)")
      return reports.flatMap(\.entries).filter { $0.kind == "backup" || $0.action == .wait }.reduce(into: [:]) {
        $0[$1.name ?? $1.kind, default: ""] += "\($1.action.rawValue): \($1.reason). "
      }
    }
    // Its own lock is of two days; what it shares with the second has been locked for longer.
    for _ in 0..<2 {
      let early = try fates(later: 30)
      #expect(early[first]?.hasPrefix("wait: locked until") == true, "\(early)")
    }
    let late = try fates(later: 72)
    #expect(late[first]?.hasPrefix("remove") == true, "\(late)")
    #expect(try site.json("backups").array?.count == 1)
    #expect(try site.json("verify", "--full").array?.allSatisfy { $0["sound"].bool == true } == true)
  }

  @Test("keeps all that a restore needs from a thief with every right")
  func everyRight() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.ceph) { server in
        try ProtectedSite.run(database, server, .locking, more: ", lock: {mode: compliance, for: 2d}") { site in
          try Numbers.create(database)
          let moment = try site.withDaemon { _ in
            try Numbers.add(1, database)
            try site.backup()
            try Numbers.add(2, database)
            // What is in the open segment is not locked.
            try database.psql("select pg_switch_wal()")
            try Numbers.add(3, database)
            try site.waitUntilDurable(database)
            return try Timestamp.nextSecond()
          }
          let left = try server.amazon(
            """
            def versions():
                for page in s3.get_paginator("list_object_versions").paginate(Bucket=words[0]):
                    yield from page.get("Versions", [])
            for one in list(versions()):
                call = {"Bucket": words[0], "Key": one["Key"]}
                refused(s3.delete_object, BypassGovernanceRetention=True, VersionId=one["VersionId"], **call)
                s3.delete_object(**call)
            for one in versions(): print(one["Key"])
            """, ProtectedSite.bucket)
          #expect(left.contains("/packs/") && left.contains("/wal/") && !left.contains("/leases/"), "\(left)")
          #expect(!left.contains(".partial/"))
          let past = ["--as-of", moment.description]
          #expect(try site.json(["verify", "--full"] + past)[0]["sound"].bool == true)
          let directory = try site.fresh("restored")
          try site.succeed(["restore", directory, "--cluster", BackupSite.cluster] + past)
          try PostgresServer.startRestored(directory: directory) { copy in
            try copy.waitUntilPromoted()
            #expect(try Numbers.all(copy) == [1, 2])
          }
        }
      }
    }
  }

  @Test("that follows others is locked by what fills it, for longer where a new backup leans on it")
  func filled() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.moto) { server in
        func lock(_ days: Int) -> String { ", durability: eventual, lock: {mode: governance, for: \(days)d}" }
        try ProtectedSite.run(database, server, .locking, alsoLocal: true, more: lock(2)) { site in
          try Numbers.create(database)
          try site.withDaemon { _ in
            try Numbers.add(1, database)
            try site.backup()
            try site.waitUntilFilled("cloud")
          }
          let before = try Self.lockedHours(server).filter { $0.key.contains("/packs/") }
          #expect(!before.isEmpty && before.allSatisfy { $0.value.map { (47...48).contains($0) } == true }, "\(before)")
          try ProtectedSite.configure(site, server, alsoLocal: true, more: lock(30))
          try site.withDaemon { _ in
            try Numbers.add(2, database)
            try site.backup()
            try site.waitUntilFilled("cloud")
          }
          let after = try Self.lockedHours(server).filter { $0.key.contains("/packs/") }
          #expect(after.count > before.count && after.allSatisfy { $0.value.map { $0 >= 719 } == true }, "\(after)")
        }
      }
    }
  }

  @Test("is refused where its bucket cannot lock")
  func cannotLock() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.moto) { server in
        try server.makeBucket(ProtectedSite.bucket)
        try BackupSite.run(database, creating: false) { site in
          try ProtectedSite.configure(site, server, more: ", lock: {mode: compliance, for: 30d}")
          let made = try site.backupctl("repository", "create")
          #expect(made.status == .exited(1) && made.standardError.contains("cannot lock objects"), "\(made)")
          let probe = try site.json("repository", "probe", "cloud")
          let lock = probe["findings"].array?.first { $0["check"].text == "objectLock" }
          #expect(probe["usable"].bool == false && lock?["verdict"].text == "missing")
        }
      }
    }
  }

  @Test("is refused by a reload where its bucket cannot lock, and the daemon goes on without locks")
  func reload() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.moto) { server in
        try ProtectedSite.run(database, server, .versioned) { site in
          try site.withDaemon { _ in
            try ProtectedSite.configure(site, server, more: ", lock: {mode: governance, for: 30d}")
            let refused = try site.backupctl("reload")
            #expect(refused.status == .exited(2) && refused.standardError.contains("cannot lock objects"), "\(refused)")
            try site.backup()
          }
        }
      }
    }
  }

  /// Hours that each object's lock lasts from now; nil for none.
  private static func lockedHours(_ server: ObjectServer) throws -> [String: Int?] {
    let text = try server.amazon(
      """
      import datetime
      now = datetime.datetime.now(datetime.timezone.utc)
      pages = s3.get_paginator("list_objects_v2").paginate(Bucket=words[0])
      for key in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
          end = s3.head_object(Bucket=words[0], Key=key).get("ObjectLockRetainUntilDate")
          print(key, -1 if end is None else round((end - now).total_seconds() / 3600))
      """, ProtectedSite.bucket)
    return text.split(separator: "\n").reduce(into: [:]) { found, line in
      let words = line.split(separator: " ")
      found[String(words[0])] = .some(Int(words[1]).flatMap { $0 < 0 ? nil : $0 })
    }
  }
}
