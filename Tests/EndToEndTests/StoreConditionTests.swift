import Foundation
import Glibc
import TestSupport
import Testing

@Suite("What is wrong with a store is told once, and its end once", .serialized, .enabled(if: ProgramUser.canSwitch))
struct StoreConditionTests {
  @Test("a directory that the daemon may no longer enter") func revoked() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server) { conditions in
        let store = conditions.site.store
        // Without a store at its start the daemon makes no slot, which is a condition of its own.
        try conditions.site.waitUntilDurable(server)
        try Program.succeed("chmod", ["000", store])
        defer { _ = try? Program.run("chmod", ["755", store]) }
        let id = "store-unreachable:local"
        // What status finds for itself may be beside it, and is told nobody.
        try conditions.expectRaised(id, besides: ["repository:main"])
        try Program.succeed("chmod", ["755", store])
        try conditions.expectResolved(id)
      }
    }
  }

  @Test("that what it holds of a cluster cannot be read") func unreadable() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        try conditions.site.backup()
        try Self.waitUntilPruned(conditions)
        let directory = conditions.site.store + "/clusters/main"
        try Program.succeed("chmod", ["000", directory])
        defer { _ = try? Program.run("chmod", ["755", directory]) }
        let text = try conditions.expectRaised("repository:main", severity: "critical")
        #expect(text.contains("Permission denied"), "\(text)")
        try Program.succeed("chmod", ["755", directory])
        try conditions.expectResolved("repository:main")
      }
    }
  }

  @Test("a bucket whose rights are taken from the daemon's keys") func revokedKeys() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.ceph) { server in
        try server.makeBucket(ProtectedSite.bucket, .plain)
        try BackupSite.run(database, creating: false) { site in
          try ProtectedSite.configure(site, server)
          let policy = try site.succeed("repository", "policy", "--store", "cloud", "--for", "append")
          let keys = try server.makeUser("daemon", policy: policy)
          try site.succeed("repository", "create")
          try ProtectedSite.configure(site, server, keys: keys)
          try AlertChannels.run(site) { channels in
            try channels.extendConfiguration()
            try ConditionSite.run(channels) { conditions in
              try site.waitUntilDurable(database)
              try server.amazon("iam.delete_user_policy(UserName=words[0], PolicyName='store')", "daemon")
              let id = "store-unreachable:cloud"
              try conditions.expectRaised(id, besides: ["repository:main"])
              try server.amazon(
                "iam.put_user_policy(UserName=words[0], PolicyName='store', PolicyDocument=words[1])", "daemon", policy)
              try conditions.expectResolved(id, deadline: .seconds(120))
            }
          }
        }
      }
    }
  }

  @Test("one that hangs, which keeps nobody from seeing what else is wrong") func hangs() throws {
    try PostgresServer.run { database in
      try ObjectServer.run(.rclone) { server in
        try server.makeBucket(ProtectedSite.bucket, .plain)
        try BackupSite.run(database, creating: false) { site in
          try ProtectedSite.configure(site, server)
          try site.succeed("repository", "create")
          let pid = try #require(server.facts["pid"].flatMap { Int32($0) })
          try AlertChannels.run(site) { channels in
            try channels.extendConfiguration()
            try ConditionSite.run(channels) { conditions in
              try site.waitUntilDurable(database)
              defer { kill(pid, SIGCONT) }
              kill(pid, SIGSTOP)
              // Not by status, which reads the store itself.
              let (store, server) = ("store-unreachable:cloud", "server:main")
              try channels.expectTold(["raised"], of: store)
              try database.crash()
              try channels.expectTold(["raised"], of: server, besides: [store])
              try database.start()
              try channels.expectTold(["raised", "resolved"], of: server, besides: [store])
              kill(pid, SIGCONT)
              try conditions.expectResolved(store, besides: [server], deadline: .seconds(120))
            }
          }
        }
      }
    }
  }

  @Test("another disk in its place") func replaced() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        let store = conditions.site.store
        try FileManager.default.moveItem(atPath: store, toPath: store + "-aside")
        try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: false)
        let text = try conditions.expectRaised("store-unreachable:local", severity: "critical")
        #expect(text.contains("repository.json"), "\(text)")
        try FileManager.default.removeItem(atPath: store)
        try FileManager.default.moveItem(atPath: store + "-aside", toPath: store)
        try conditions.expectResolved("store-unreachable:local")
      }
    }
  }

  @Test("one that takes nothing, and lacks for too long what the others hold") func lag() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server, creating: false) { site in
        try AlertChannels.run(site) { channels in
          let second = site.directory + "/second"
          let stores = [("stores:\n", "stores:\n    second: {path: \(second), durability: eventual}\n")]
          try channels.configure(monitoring: ["lag-limit: 9s"], replacing: stores)
          try site.succeed("repository", "create")
          // Readable, and nothing can be added.
          try Program.succeed("chmod", ["-R", "a-w", second])
          defer { _ = try? Program.run("chmod", ["-R", "u+w", second]) }
          try ConditionSite.run(channels) { conditions in
            try site.backup()
            // The second follows after a few attempts, and before the first becomes critical.
            let (lag, failure) = ("store-lag:second", "store:second")
            let text = try conditions.expectRaised(lag, besides: [failure])
            #expect(text.contains("lags behind the others"), "\(text)")
            try conditions.expectRaised(failure, severity: "warning", besides: [lag])
            try Program.succeed("chmod", ["-R", "u+w", second])
            try conditions.expectResolved(lag, besides: [failure], deadline: .seconds(120))
            try conditions.expectResolved(failure, besides: [lag])
          }
        }
      }
    }
  }

  @Test("a pack that verification found damaged, until nothing needs it") func damage() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        let site = conditions.site
        let first = try site.backup()
        try Self.waitUntilPruned(conditions)
        let pack = try site.object("packs")
        var bytes = try Data(contentsOf: URL(fileURLWithPath: pack))
        bytes[bytes.count / 2] ^= 0xFF
        try FileManager.default.removeItem(atPath: pack)
        try bytes.write(to: URL(fileURLWithPath: pack))
        try ProgramUser.postgres.own(pack)
        #expect(try site.backupctl("verify", "--full").status == .exited(1))
        let text = try conditions.expectRaised("damage:local:main", severity: "critical")
        #expect(text.contains("damaged packs"), "\(text)")
        // Two that do not lean on it.
        for _ in 0..<2 {
          try site.backup()
          // Which a prune of another clock would keep from its work.
          try Self.waitUntilPruned(conditions)
        }
        try site.succeed("delete", first)
        try site.pruneLater(.seconds(3 * 86400))
        try site.pruneLater(.seconds(6 * 86400))
        try conditions.expectResolved("damage:local:main", deadline: .seconds(90))
      }
    }
  }

  @Test("a manifest that cannot be read") func damagedManifest() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        let site = conditions.site
        let id = try site.backup()
        let manifest = try site.object("backups")
        try conditions.daemon.stop()
        let good = try Data(contentsOf: URL(fileURLWithPath: manifest))
        func put(_ bytes: Data) throws {
          try FileManager.default.removeItem(atPath: manifest)
          try bytes.write(to: URL(fileURLWithPath: manifest))
          try ProgramUser.postgres.own(manifest)
        }
        try put(good.prefix(good.count / 2))
        try ConditionSite.run(conditions.channels) { conditions in
          let name = "damaged-backup:\(id)"
          try conditions.expectRaised(name)
          try put(good)
          try conditions.expectResolved(name)
        }
      }
    }
  }

  @Test("a disk that is nearly full") func disk() throws {
    try SmallDisk.run(megabytes: 200) { disk in
      try PostgresServer.run { server in
        try ConditionSite.run(server, change: { $0.storePath = disk + "/store" }) { conditions in
          try SmallDisk.filled(disk, leavingMegabytes: 4) {
            let text = try conditions.expectRaised("disk:store:local", severity: "critical")
            #expect(text.contains("is nearly full"), "\(text)")
          }
          try conditions.expectResolved("disk:store:local")
        }
      }
    }
  }

  @Test("a disk that fills, before it is full") func forecast() throws {
    try SmallDisk.run(megabytes: 400) { disk in
      try PostgresServer.run { server in
        let change: (inout BackupSite.Options) -> Void = { $0.storePath = disk + "/store" }
        try ConditionSite.run(server, monitoring: ["disk-forecast: 3m"], change: change) { conditions in
          // A little each time it is looked at.
          var files = 0
          try Poll.until(.seconds(60), "the forecast", every: .milliseconds(300)) {
            files += 1
            try Program.succeed("fallocate", ["-l", "2MiB", disk + "/filler-\(files)"])
            return try conditions.raised() != []
          }
          let text = try conditions.expectRaised("disk:store:local")
          #expect(text.contains("will be full") && text.contains("it is full in"), "\(text)")
          for number in 1...files { try FileManager.default.removeItem(atPath: disk + "/filler-\(number)") }
          try conditions.expectResolved("disk:store:local")
        }
      }
    }
  }

  @Test("prunes that free nothing while there is no room") func pruneIdle() throws {
    try SmallDisk.run(megabytes: 400) { disk in
      try PostgresServer.run { server in
        let change: (inout BackupSite.Options) -> Void = {
          $0.storePath = disk + "/store"
          $0.streamsWAL = false
          $0.physical = ["keep: 30d"]
        }
        try ConditionSite.run(server, change: change) { conditions in
          try SmallDisk.filled(disk, leavingMegabytes: 36) {
            for _ in 0..<4 {
              try conditions.site.backup()
              try Self.waitUntilPruned(conditions)
            }
            let text = try conditions.expectRaised("prune-idle:main", severity: "warning")
            #expect(text.contains("prunes removed nothing"), "\(text)")
          }
          try conditions.expectResolved("prune-idle:main")
        }
      }
    }
  }

  /// Each backup is followed by a prune.
  private static func waitUntilPruned(_ conditions: ConditionSite) throws {
    let backups = try conditions.site.json("backups").array?.count ?? 0
    try Poll.until(.seconds(30), "\(backups) prunes", every: .milliseconds(100)) {
      conditions.daemon.log.split(separator: "\n").count { $0.contains("prune ends") } >= backups
    }
  }
}
