import BackupModel
import BlockingWork
import Foundation
import Glibc
import Repository
import TestSupport
import Testing

@testable import WALArchiving

private let kept = ["wal_keep_size": "1GB", "autovacuum": "off"]

@Suite("The WAL archiver", .serialized) struct WALArchiverTests {
  @Test("brings WAL into the store as the server has it, the open segment too", arguments: [15, 18])
  func archives(version: Int) throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(version: version, options: kept, initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        let (start, error) = try fixture.run(server) { archiver, _ in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.makeWAL(megabytes: 4)
          try server.psql("select pg_create_restore_point('here')")
          let end = try server.flushLSN
          _ = try archiver.waitUntilStored(
            through: WALPosition(timeline: start.timeline, lsn: end), cancellation: Cancellation(),
            timeout: .seconds(30))
          let status = archiver.status()
          #expect(status.state == "streaming" && status.error == nil)
          #expect(try #require(status.stores.first?.durableLSN) >= end)
          try archiver.proveStored(from: start, through: end, of: fixture.lineage())
          let catalog = try fixture.catalog()
          #expect(catalog.segmentSize.bytes == 1 << 20)
          #expect(catalog.coverage(from: start) >= end)
          #expect(try firstDifference(catalog, server, from: start.lsn, to: end) == nil)
          #expect(try catalog.gaps().rows.isEmpty)
          return start
        }
        #expect(error == nil)
        let point = try fixture.catalog().position(ofRestorePoint: "here", from: start)
        #expect(point != nil)
      }
    }
  }

  @Test("goes on without a gap after a restart of itself and of the server, where the position is kept")
  func restarts() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: kept, initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        let (start, _) = try fixture.run(server) { archiver, _ in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.makeWAL(megabytes: 3)
          return start
        }
        try server.makeWAL(megabytes: 3)
        let (_, error) = try fixture.run(server) { archiver, _ in
          _ = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.restart()
          try server.makeWAL(megabytes: 2)
          let end = try server.flushLSN
          _ = try archiver.waitUntilStored(
            through: WALPosition(timeline: start.timeline, lsn: end), cancellation: Cancellation(),
            timeout: .seconds(60))
          #expect(try firstDifference(fixture.catalog(), server, from: start.lsn, to: end) == nil)
        }
        #expect(error == nil)
        #expect(try fixture.catalog().runs(of: TimelineID(1)).count == 1)
      }
    }
  }

  @Test("keeps WAL while the store cannot be written, and says so")
  func storeAway() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: kept, initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        try fixture.run(server) { archiver, log in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          fixture.faults.isFailing = true
          try server.makeWAL(megabytes: 4)
          let end = WALPosition(timeline: start.timeline, lsn: try server.flushLSN)
          try Poll.until(.seconds(30), "the failure") { log.storeFailures > 1 }
          try Poll.until(.seconds(30), "landing") { try #require(archiver.status().flushedLSN) >= end.lsn }
          #expect(archiver.status().queuedSegments >= 3)
          let failure = #expect(throws: WALArchivingError.self) {
            _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .milliseconds(50))
          }
          #expect(failure?.detail?.contains("no space left on device") != false)
          fixture.faults.isFailing = false
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(60))
          #expect(try firstDifference(fixture.catalog(), server, from: start.lsn, to: end.lsn) == nil)
          try Poll.until(.seconds(30), "an empty landing directory") { archiver.status().queuedSegments == 0 }
        }
      }
    }
  }

  @Test("records a gap and goes on where its slot was dropped and the WAL is gone")
  func slotDropped() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(
        options: ["autovacuum": "off", "min_wal_size": "2MB", "max_wal_size": "2MB"], initdb: ["--wal-segsize=1"]
      ) { server in
        let fixture = try ArchiveFixture(directory)
        let (held, _) = try fixture.run(server) { archiver, _ in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.makeWAL(megabytes: 2)
          let end = WALPosition(timeline: start.timeline, lsn: try server.flushLSN)
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(30))
          return end
        }
        try server.psql("select pg_drop_replication_slot('backupd_oauth')")
        try server.psql("select pg_create_physical_replication_slot('somebody_else')")
        for _ in 0..<3 {
          try server.makeWAL(megabytes: 6)
          try server.psql("checkpoint")
        }
        try fixture.run(server) { archiver, log in
          try Poll.until(.seconds(30), "the gap") { !log.gaps.isEmpty }
          let gap = try #require(log.gaps.first)
          #expect(gap.first >= held.lsn && gap.end > gap.first)
          let from = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          #expect(from.lsn == gap.end)
          try server.makeWAL(megabytes: 1)
          let end = WALPosition(timeline: from.timeline, lsn: try server.flushLSN)
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(30))
          try Poll.until(.seconds(30), "the record") { try fixture.catalog().gaps().rows.contains { $0.isRecorded } }
          #expect(try fixture.catalog().gaps().rows.count == 1)
          #expect(try fixture.catalog().coverage(from: held) >= held.lsn)
        }
        #expect(try server.psql("select count(*) from pg_replication_slots where slot_name = 'somebody_else'") == "1")
      }
    }
  }

  @Test("refuses a server that does not send what it sent before")
  func rolledBack() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: kept) { server in
        let fixture = try ArchiveFixture(directory)
        try fixture.run(server) { archiver, _ in
          _ = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.makeWAL(megabytes: 1)
          let end = try server.flushLSN
          try Poll.until(.seconds(30), "landing") { archiver.status().flushedLSN.map { $0 >= end } ?? false }
        }
        let name = try #require(
          try FileManager.default.contentsOfDirectory(atPath: fixture.landing).first { $0.hasSuffix(".open") })
        let path = fixture.landing + "/" + name
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[200_000] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        let (_, error) = try fixture.run(server) { archiver, _ in
          try Poll.until(.seconds(30), "the end") { archiver.status().state == "stopped" }
          #expect(archiver.status().error?.summary.contains("rolled back") == true)
        }
        guard case .serverRolledBack(let position, _)? = error as? WALArchivingError else {
          Issue.record("\(String(describing: error))")
          return
        }
        let size = WALSegmentSize.standard
        #expect(position.lsn == (try WALSegment(name: String(name.prefix(24)), size: size)).start(size: size) + 200_000)
      }
    }
  }

  @Test("refuses another cluster's server")
  func foreign() throws {
    try TemporaryDirectory.run { directory in
      let fixture = try ArchiveFixture(directory)
      _ = try PostgresServer.run(options: kept, initdb: ["--wal-segsize=1"]) { server in
        try fixture.run(server) { archiver, _ in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.makeWAL(megabytes: 1)
          let end = WALPosition(timeline: start.timeline, lsn: try server.flushLSN)
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(30))
        }
      }
      for keepsLanding in [true, false] {
        if !keepsLanding { try FileManager.default.removeItem(atPath: fixture.landing) }
        try PostgresServer.run(options: kept, initdb: ["--wal-segsize=1"]) { server -> Void in
          let (_, error) = try fixture.run(server) { archiver, _ in
            try Poll.until(.seconds(30), "the end") { archiver.status().state == "stopped" }
          }
          guard case .foreignSystemIdentifier? = error as? WALArchivingError else {
            Issue.record("\(String(describing: error))")
            return
          }
        }
      }
    }
  }

  @Test("follows the server to the next timeline, its history first")
  func promotion() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: kept, initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        try fixture.run(server) { archiver, log in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.makeWAL(megabytes: 1)
          try server.stop()
          _ = FileManager.default.createFile(atPath: server.dataDirectory + "/standby.signal", contents: nil)
          try server.start()
          try server.psql("select pg_promote()")
          try server.makeWAL(megabytes: 2)
          let end = WALPosition(timeline: TimelineID(2), lsn: try server.flushLSN)
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(60))
          let catalog = try fixture.catalog()
          #expect(catalog.timelines == [TimelineID(1), TimelineID(2)])
          let history = try TimelineHistory(
            timeline: TimelineID(2),
            text: String(decoding: #require(try catalog.readHistory(TimelineID(2))), as: UTF8.self))
          let left = try #require(history.entries.first?.end)
          #expect(catalog.coverage(from: start) >= left)
          #expect(catalog.coverage(from: WALPosition(timeline: TimelineID(2), lsn: left)) >= end.lsn)
        }
      }
    }
  }

  @Test("finds times, xids and ends of transactions as the server knows them")
  func targets() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(
        options: kept.merging(["track_commit_timestamp": "on"]) { $1 }, initdb: ["--wal-segsize=1"]
      ) {
        server in
        let fixture = try ArchiveFixture(directory)
        let (start, _) = try fixture.run(server) { archiver, _ in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.psql("create table ledger(n int, x xid default pg_current_xact_id()::xid)")
          for number in 0..<20 {
            try server.psql("insert into ledger values (\(number)); insert into ledger values (\(number))")
            if number % 10 == 0 { try server.makeWAL(megabytes: 1) }
          }
          let end = WALPosition(timeline: start.timeline, lsn: try server.flushLSN)
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(30))
          return start
        }
        let catalog = try fixture.catalog()
        let rows = try server.psql(
          "select distinct x, (extract(epoch from pg_xact_commit_timestamp(x)) * 1000000)::bigint t from ledger order by t"
        ).split(separator: "\n").map { $0.split(separator: "|") }
        #expect(rows.count == 40)
        let ends = try rows.map { row -> (xid: UInt32, time: Timestamp) in
          (try #require(UInt32(row[0])), Timestamp(microseconds: try #require(Int64(row[1]))))
        }
        for (number, end) in ends.enumerated() {
          let found = try #require(try catalog.position(ofXID: end.xid, from: start))
          #expect(found.time == end.time && found.outcome == .commit)
          // A target at the commit's own time includes it; one microsecond less stops before it.
          let before = try catalog.position(
            ofTime: Timestamp(microseconds: end.time.microseconds - 1), from: start)
          guard case .stopsBefore(let entry, _)? = before else {
            Issue.record("\(String(describing: before))")
            continue
          }
          #expect(entry == found)
          if number == ends.count - 1 {
            guard case .endOfWAL(let latest)? = try catalog.position(ofTime: end.time, from: start) else {
              Issue.record("an end of WAL was expected")
              continue
            }
            #expect(latest.lastCommit == found && latest.completeEnd.map { $0 >= found.end } == true)
          }
        }
        #expect(try catalog.position(ofXID: 4_000_000_000, from: start) == nil)
      }
    }
  }

  @Test("brings the WAL of one backup with a slot that goes with it")
  func temporary() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: kept, initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        for _ in 0..<2 {
          try fixture.run(server, lifetime: .temporary) { archiver, _ in
            let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
            try server.makeWAL(megabytes: 2)
            let end = WALPosition(timeline: start.timeline, lsn: try server.flushLSN)
            _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(30))
            #expect(try firstDifference(fixture.catalog(), server, from: start.lsn, to: end.lsn) == nil)
          }
          try Poll.until(.seconds(10), "the slot's end") {
            try server.psql("select count(*) from pg_replication_slots") == "0"
          }
        }
      }
    }
  }
}

/// What the crash test kills: this test program again, running nothing but an archiver.
@Suite("An archiver to be killed", .enabled(if: ProcessInfo.processInfo.environment["BACKUPD_TEST_ARCHIVER"] != nil))
struct ArchiverToBeKilled {
  @Test("runs until it is killed") func runs() throws {
    let environment = ProcessInfo.processInfo.environment
    let directory = try #require(environment["BACKUPD_TEST_ARCHIVER"])
    let connection = try #require(environment["BACKUPD_TEST_CONNECTION"])
    let fixture = try ArchiveFixture(directory)
    let options = WALArchiver.Options(
      cluster: fixture.cluster, connection: connection, landingDirectory: fixture.landing,
      partialInterval: .milliseconds(20))
    try WALArchiver(options, repository: fixture.repository).run(Cancellation())
  }
}

@Suite("Killing the archiver", .serialized) struct ArchiverCrashTests {
  @Test("at any moment leaves no gap and no wrong byte", arguments: [15, 18])
  func killed(version: Int) throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(version: version, options: kept, initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        var generator = SystemRandomNumberGenerator()
        let (start, _) = try fixture.run(server) { archiver, _ in
          try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
        }
        try server.pgbenchInitialize()
        for _ in 0..<4 {
          try server.underLoad { _ in
            try Program.running(
              CommandLine.arguments[0],
              ["--testing-library", "swift-testing", "--filter", "ArchiverToBeKilled"],
              environment: ["BACKUPD_TEST_ARCHIVER": directory, "BACKUPD_TEST_CONNECTION": server.connection]
            ) { child in
              try Poll.until(.seconds(60), "streaming") {
                try server.psql("select active from pg_replication_slots where slot_name = 'backupd_oauth'") == "t"
              }
              // Not a moment in time but in the WAL.
              let goal = try server.flushLSN + UInt64.random(in: 0...1_500_000, using: &generator)
              try Poll.until(.seconds(60), "WAL") { try server.flushLSN >= goal }
              child.signal(SIGKILL)
              _ = try child.waitForExit()
            }
          }
        }
        let (_, error) = try fixture.run(server) { archiver, log in
          let end = WALPosition(timeline: start.timeline, lsn: try server.flushLSN)
          _ = try archiver.waitUntilStored(through: end, cancellation: Cancellation(), timeout: .seconds(60))
          let catalog = try fixture.catalog()
          #expect(catalog.coverage(from: start) >= end.lsn)
          #expect(try firstDifference(catalog, server, from: start.lsn, to: end.lsn) == nil)
          #expect(try catalog.gaps().rows.isEmpty && log.gaps.isEmpty)
        }
        #expect(error == nil)
      }
    }
  }
}
