import Foundation
import Glibc
import TestSupport
import Testing

@Suite("What is wrong with a server is told once, and its end once", .enabled(if: ProgramUser.canSwitch))
struct ServerConditionTests {
  @Test("killed, and started again") func killed() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server) { conditions in
        #expect(try conditions.raised() == [])
        try server.crash()
        let text = try conditions.expectRaised("server:main", severity: "critical")
        #expect(text.contains("cannot be reached"), "\(text)")
        try server.start()
        try conditions.expectResolved("server:main")
      }
    }
  }

  @Test("stopped in the middle: it takes connections and says nothing") func silent() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server) { conditions in
        let postmaster = try server.pid
        kill(postmaster, SIGSTOP)
        defer { kill(postmaster, SIGCONT) }
        let text = try conditions.expectRaised("server:main", severity: "critical")
        #expect(text.contains("does not answer") || text.contains("No answer"), "\(text)")
        kill(postmaster, SIGCONT)
        try conditions.expectResolved("server:main")
      }
    }
  }

  @Test("whose archiver fails") func archiver() throws {
    try PostgresServer.run(options: ["archive_mode": "on", "archive_command": "/bin/true"]) { server in
      try ConditionSite.run(server) { conditions in
        try Self.archive(server, with: "/bin/false")
        let text = try conditions.expectRaised("archiver:main", severity: "warning")
        #expect(text.contains("fails") && text.contains("archive_command failed at"), "\(text)")
        try Self.archive(server, with: "/bin/true")
        // After three failures PostgreSQL waits for a minute.
        try conditions.expectResolved("archiver:main", deadline: .seconds(120))
      }
    }
  }

  @Test("whose archive command hangs, which it does not count as failing") func archiverHangs() throws {
    try PostgresServer.run(options: ["archive_mode": "on", "archive_command": "/bin/true"]) { server in
      try ConditionSite.run(server) { conditions in
        try Self.archive(server, with: "sleep 600")
        let text = try conditions.expectRaised("archiver:main", severity: "warning")
        #expect(text.contains("does not keep up") && text.contains("in pg_wal wait for it"), "\(text)")
        #expect(try server.psql("select failed_count from pg_stat_archiver") == "0")
        try Self.archive(server, with: "/bin/true")
        try server.restart(.immediate)
        try conditions.expectResolved("archiver:main", deadline: .seconds(90))
      }
    }
  }

  private static func archive(_ server: PostgresServer, with command: String) throws {
    try server.psql("alter system set archive_command = '\(command)'")
    try server.psql("select pg_reload_conf()")
    try server.psql("select pg_switch_wal(), txid_current()")
  }

  @Test("that no longer lets the receiver in, so that its slot only grows") func slotInactive() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server) { conditions in
        try Self.refuseReplication(server) {
          let text = try conditions.expectRaised("slot:main", severity: "warning")
          #expect(text.contains("is not in use"), "\(text)")
        }
        try conditions.expectResolved("slot:main")
      }
    }
  }

  @Test("whose limit the slot exceeds: it is about to lose WAL, and then has") func slotLost() throws {
    let options = ["max_slot_wal_keep_size": "32MB", "min_wal_size": "32MB", "max_wal_size": "4GB"]
    try PostgresServer.run(options: options) { server in
      try Numbers.create(server)
      try ConditionSite.run(server) { conditions in
        try conditions.site.backup()
        try Self.refuseReplication(server) {
          // Not seen on the way there: less and less room would be told as worse and worse.
          conditions.daemon.program.signal(SIGSTOP)
          for number in 1...6 { try ArchiveCommandTests.fill(server, number) }
          conditions.daemon.program.signal(SIGCONT)
          let text = try conditions.expectRaised("slot:main", severity: "critical")
          #expect(text.contains("is about to lose WAL") && text.contains("\"unreserved\""), "\(text)")
          try server.psql("checkpoint")
          try Poll.until(.seconds(30), "the loss", every: .milliseconds(200)) {
            try conditions.site.backupctl("status").standardOutput.contains("has lost WAL")
          }
        }
        // The gap is another condition, found with the first WAL that comes again, which the base backup behind it ends.
        try conditions.channels.wait(for: [2, 2, 2, 2], of: "wal-gap:main", deadline: .seconds(240))
        try conditions.expectResolved("slot:main", besides: ["wal-gap:main"], deadline: .seconds(120))
        try conditions.expectResolved("wal-gap:main", besides: ["slot:main"])
      }
    }
  }

  @Test("that gives no more WAL, within a minute") func notReceived() throws {
    try PostgresServer.run { server in
      // Its slot is looked at so seldom that what is told is why it is not in use.
      try ConditionSite.run(server, monitoring: ["interval: 30s"]) { conditions in
        try conditions.site.waitUntilDurable(server)
        try Self.refuseReplication(server) {
          let refused = ContinuousClock.now
          let text = try conditions.expectRaised("wal:main", severity: "warning")
          Programs.note("told \(ContinuousClock.now - refused) after replication was refused")
          #expect(text.contains("pg_hba.conf"), "\(text)")
        }
        try conditions.expectResolved("wal:main")
      }
    }
  }

  /// Refuses replication connections, and only these, for the length of the closure.
  private static func refuseReplication(_ server: PostgresServer, _ body: () throws -> Void) throws {
    let path = server.dataDirectory + "/pg_hba.conf"
    let rules = try String(contentsOfFile: path, encoding: .utf8)
    func set(_ text: String) throws {
      try text.write(toFile: path, atomically: false, encoding: .utf8)
      try server.psql("select pg_reload_conf()")
    }
    try set("local replication all reject\nhost replication all all reject\n" + rules)
    try server.psql("select pg_terminate_backend(pid) from pg_stat_replication")
    try body()
    try set(rules)
  }

  @Test("whose WAL goes elsewhere while the archiver says all is well") func thin() throws {
    try PostgresServer.run(options: ["archive_mode": "on", "archive_command": "/bin/true"]) { server in
      try Numbers.create(server)
      try ConditionSite.run(server, replacing: [("kind: wal,", "kind: wal, streaming: false,")]) { conditions in
        for number in 1...6 { try ArchiveCommandTests.fill(server, number) }
        let text = try conditions.expectRaised("wal-thin:main", severity: "critical")
        #expect(text.contains("thinner"), "\(text)")
        let push = "\(conditions.site.program("backupd-wal")) push --socket \(conditions.site.socket) --cluster main"
        try server.psql("alter system set archive_command = '\(push) %p'")
        try server.psql("select pg_reload_conf()")
        try ArchiveCommandTests.fill(server, 7)
        try conditions.expectResolved("wal-thin:main")
      }
    }
  }

  @Test("whose clock this host's leaves") func clock() throws {
    try PostgresServer.run { server in
      try TemporaryDirectory.run { directory in
        let clock = try FakeClock(directory + "/clock")
        try ConditionSite.run(server, environment: clock.environment) { conditions in
          try clock.set(ahead: 120)
          let text = try conditions.expectRaised("clock:main", severity: "warning")
          #expect(text.contains("ahead of"), "\(text)")
          try clock.set(ahead: 0)
          try conditions.expectResolved("clock:main")
        }
      }
    }
  }
}
