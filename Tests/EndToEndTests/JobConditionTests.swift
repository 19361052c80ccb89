import Foundation
import Glibc
import TestSupport
import Testing

@Suite(
  "What is wrong with jobs and backups is told once, and its end once", .serialized, .enabled(if: ProgramUser.canSwitch)
)
struct JobConditionTests {
  @Test("a job, or a drill, that had no success in time, also where the daemon was off") func deadMan() throws {
    try PostgresServer.run { server in
      let jobs = (
        "jobs:\n",
        "jobs:\n  proof: {kind: drill, cluster: main, schedule: \"\(FarSchedule.daily)\", missed: skip}\n"
      )
      let change: (inout BackupSite.Options) -> Void = {
        $0.physical = ["schedule: \"\(FarSchedule.daily)\"", "missed: skip"]
        $0.clusterKeys = ["programs: \(server.binDirectory)"]
      }
      try BackupSite.run(server, change: change) { site in
        try AlertChannels.run(site) { channels in
          try channels.configure(monitoring: ["grace: 0s"], replacing: [jobs])
          try ConditionSite.run(channels) { _ in
            try site.backup()
            try site.waitUntilDurable(server)
            #expect(try site.backupctl("drill", "proof").succeeded)
            // A schedule counts from when the monitor has seen it.
            try Poll.until(.seconds(30), "the monitor's record", every: .milliseconds(50)) {
              FileManager.default.fileExists(atPath: site.state + "/monitor.json")
            }
          }
          try Self.age(site, days: 3)
          try ConditionSite.run(channels) { conditions in
            let (backup, drill) = ("no-success:physical", "no-success:proof")
            let text = try conditions.expectRaised(backup, severity: "critical", besides: [drill])
            #expect(text.contains("By its schedule, \"\(FarSchedule.daily)\", it should have by"), "\(text)")
            try conditions.expectRaised(drill, severity: "critical", besides: [backup])
            try site.backup()
            try conditions.expectResolved(backup, besides: [drill])
            try site.waitUntilDurable(server)
            #expect(try site.backupctl("drill", "proof").succeeded)
            try conditions.expectResolved(drill, besides: [backup])
          }
        }
      }
    }
  }

  /// Has the daemon's state say that what it did just now was so many days ago.
  private static func age(_ site: BackupSite, days: Int) throws {
    let format = ISO8601DateFormatter()
    format.formatOptions = [.withFullDate]
    func day(_ ago: Int) -> String { format.string(from: Date().addingTimeInterval(-86400 * Double(ago))) + "T" }
    for name in try FileManager.default.subpathsOfDirectory(atPath: site.state)
    where name == "monitor.json" || name.hasPrefix("jobs/") || name.hasPrefix("runs/") {
      let path = site.state + "/" + name
      guard var text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
      // It may have begun before midnight.
      for ago in [1, 0] { text = text.replacingOccurrences(of: day(ago), with: day(ago + days)) }
      try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
  }

  @Test("a cluster that has no backup, until it has one") func none() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, monitoring: ["physical-age: 8s"]) { conditions in
        let text = try conditions.expectRaised("backup-age:main:physical", severity: "critical")
        #expect(text.contains("has no physical backup"), "\(text)")
        // Not a race with the next one growing old.
        try conditions.channels.configure(monitoring: ["physical-age: 1h"])
        try conditions.site.succeed("reload")
        try conditions.site.backup()
        try conditions.expectResolved("backup-age:main:physical")
      }
    }
  }

  @Test("a backup that somebody deleted in the store") func count() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.physical = ["keep: {count: 2}"] }) { conditions in
        let site = conditions.site
        for _ in 0..<2 { try site.backup() }
        let manifest = try site.object("backups")
        try FileManager.default.moveItem(atPath: manifest, toPath: site.directory + "/aside")
        let text = try conditions.expectRaised("backup-count:physical", severity: "critical")
        #expect(text.contains("1 exist of 2"), "\(text)")
        try FileManager.default.moveItem(atPath: site.directory + "/aside", toPath: manifest)
        try conditions.expectResolved("backup-count:physical")
      }
    }
  }

  @Test("a record of runs that cannot be read") func history() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server) { conditions in
        let site = conditions.site
        try site.backup()
        let runs = site.state + "/runs"
        let file = runs + "/" + (try #require(try FileManager.default.contentsOfDirectory(atPath: runs).first))
        let text = try String(contentsOfFile: file, encoding: .utf8)
        // A line in the middle: the last one may be what a crash left.
        let damaged = "{\"version\": 1, \"job\": \"physical\", nonsense\n" + text
        try damaged.write(toFile: file, atomically: false, encoding: .utf8)
        try site.backup()
        try conditions.expectRaised("history", severity: "warning")
        let now = try String(contentsOfFile: file, encoding: .utf8)
        try now.split(separator: "\n").filter { !$0.contains("nonsense") }.map { $0 + "\n" }.joined()
          .write(toFile: file, atomically: false, encoding: .utf8)
        try conditions.expectResolved("history")
      }
    }
  }

  @Test("runs that succeed only after another attempt") func retries() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        let site = conditions.site
        // As the daemon records them: each real one waits 30 s for its second attempt.
        try site.backup()
        let runs = site.state + "/runs"
        let file = runs + "/" + (try #require(try FileManager.default.contentsOfDirectory(atPath: runs).first))
        let line = try String(contentsOfFile: file, encoding: .utf8)
        try #require(line.contains("\"attempts\"") == false)
        let tried = line.replacingOccurrences(of: "{\"backup\"", with: "{\"attempts\":2,\"backup\"")
        try #require(tried != line)
        try (tried + tried + tried).write(toFile: file, atomically: false, encoding: .utf8)
        try site.backup()
        try Self.expectRetriesTold(conditions)
      }
    }
  }

  /// With three runs on record that were tried again: that is told, and its end once enough others have succeeded.
  static func expectRetriesTold(_ conditions: ConditionSite) throws {
    let text = try conditions.expectRaised("retries:physical", severity: "warning")
    #expect(text.contains("3 of the last"), "\(text)")
    // Of the five that are looked at one was tried again then.
    for _ in 0..<4 { try conditions.site.backup() }
    try conditions.expectResolved("retries:physical")
  }

  @Test("a backup that is much smaller than those before it") func smaller() throws {
    try PostgresServer.run { server in
      try server.psql("create table big as select repeat(md5(n::text), 20) text from generate_series(1, 60000) n")
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        for _ in 0..<6 { try conditions.site.backup() }
        try server.psql("drop table big")
        try conditions.site.backup()
        // What is left changed a lot in comparison.
        let pattern = ["change-pattern:physical"]
        let text = try conditions.expectRaised("backup-size:physical", severity: "warning", besides: pattern)
        #expect(text.contains("% are missing"), "\(text)")
        try server.psql("create table big as select repeat(md5(n::text), 20) text from generate_series(1, 60000) n")
        try conditions.site.backup()
        try conditions.expectResolved("backup-size:physical", besides: pattern)
      }
    }
  }

  @Test("data that somebody encrypts: all of it changed, none of it compresses") func encrypted() throws {
    try PostgresServer.run { server in
      try server.psql("create extension pgcrypto")
      try server.psql(
        "create table letters as select n, repeat('dear customer ' || n, 30)::bytea letter from generate_series(1, 60000) n"
      )
      try server.psql("alter table letters alter letter set storage external")
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        for number in 0..<7 {
          try server.psql("update letters set letter = letter || '.' where n % 1000 = \(number)")
          try conditions.site.backup()
        }
        #expect(try conditions.raised() == [])
        try server.psql("update letters set letter = encrypt(letter, 'a key nobody has', 'aes')")
        try server.psql("vacuum full letters")
        try conditions.site.backup()
        let text = try conditions.expectRaised("change-pattern:physical", severity: "warning")
        #expect(text.contains("of its bytes are new") && text.contains("Compression leaves"), "\(text)")
        try conditions.site.backup()
        try conditions.expectResolved("change-pattern:physical")
      }
    }
  }
}
