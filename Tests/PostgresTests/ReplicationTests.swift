import BackupModel
import TestSupport
import Testing

@testable import Postgres

@Suite("Replication commands") struct ReplicationTests {
  @Test("make, show and drop slots", arguments: [15, 18])
  func slots(version: Int) throws {
    try PostgresServer.run(version: version, options: ["max_replication_slots": "1", "max_wal_senders": "1"]) {
      server in
      let replication = try Sessions.replication(server.tcpConnection)
      let identity = try replication.identifySystem()
      #expect(identity.timeline == TimelineID(1) && identity.lsn > LSN(0))
      #expect(try replication.show("wal_segment_size") == "16MB")
      #expect(try replication.readSlot("ours") == nil)
      try replication.createPhysicalSlot("ours")
      let slot = try #require(try replication.readSlot("ours"))
      #expect(try #require(slot.restart) <= identity.lsn)
      #expect(slot.restartTimeline == TimelineID(1))
      #expect(postgresError { try replication.createPhysicalSlot("ours") } == .slotExists("ours", replication.address))
      guard case .slotUnavailable = postgresError({ try replication.createPhysicalSlot("more") }) else {
        throw Unexpected(nil)
      }
      try replication.dropSlot("ours")
      #expect(postgresError { try replication.dropSlot("ours") } == .slotMissing("ours", replication.address))
      try replication.createPhysicalSlot("brief", reserveWAL: .firstUse, lifetime: .temporary)
      #expect(try #require(try replication.readSlot("brief")).restart == nil)
      let second = postgresError { _ = try Sessions.replication(server.tcpConnection) }
      guard case .walSenderUnavailable = second else { throw Unexpected(second) }
      let history = postgresError { _ = try replication.timelineHistory(TimelineID(7)) }
      guard case .refused = history else { throw Unexpected(history) }
      #expect(postgresError { try replication.dropSlot("Not; a name") } == .slotNameInvalid("Not; a name"))
    }
  }

  @Test("quote names and texts")
  func quoting() {
    #expect(LibPQ.quoteIdentifier("a\"b") == "\"a\"\"b\"")
    #expect(LibPQ.quoteLiteral("it's") == "'it''s'")
    #expect(LibPQ.isSlotName("backupd_main_1") && LibPQ.isSlotName(String(repeating: "a", count: 63)))
    for name in ["", "A", "a-b", "ä", String(repeating: "a", count: 64)] { #expect(!LibPQ.isSlotName(name)) }
  }
}
