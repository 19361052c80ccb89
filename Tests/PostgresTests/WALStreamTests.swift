import BackupModel
import BlockingWork
import TestSupport
import Testing

@testable import Postgres

@Suite("A WAL stream") struct WALStreamTests {
  /// Contiguous WAL as it arrived.
  final class Landing {
    var bytes: [UInt8] = []
    var start: LSN?
    var end = LSN(0)
    var next: TimelineID?

    /// Takes all that is there, waiting for the first of it.
    func drain(_ stream: WALStream) throws {
      var timeout = Duration.seconds(10)
      while try stream.next(timeout: timeout, take) != nil { timeout = .zero }
    }

    private func take(_ message: WALStream.Message) throws {
      switch message {
      case .data(let start, let serverEnd, let serverTime, let bytes):
        if self.start == nil { self.start = start } else { #expect(start == end) }
        self.bytes += Array(bytes)
        end = start + UInt64(bytes.count)
        #expect(serverEnd >= end && serverTime > Timestamp(seconds: 1_700_000_000))
      case .keepalive: break
      case .endOfTimeline(let next, let end):
        self.next = next
        #expect(end == self.end)
      }
    }
  }

  @Test("brings a committed row's WAL and moves the slot as far as it is acknowledged", arguments: [15, 18])
  func receives(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      try server.psql("create table t (f text); select pg_switch_wal()")
      let replication = try Sessions.replication(server.tcpConnection)
      try replication.createPhysicalSlot("receiver")
      let start = try #require(try replication.readSlot("receiver")?.restart)
      let segment = LSN(start.value / (16 << 20) * (16 << 20))
      let stream = try replication.streamWAL(
        slot: "receiver", from: WALPosition(timeline: TimelineID(1), lsn: segment))
      let landing = Landing()
      let marker = "a row that must not get lost"
      let committed = try LSN(server.psql("insert into t values ('\(marker)'); select pg_current_wal_flush_lsn()"))
      while landing.end < committed { try landing.drain(stream) }
      #expect(landing.bytes.contains(marker))
      #expect(try server.psql("select restart_lsn is null from pg_replication_slots") == "f")
      try stream.sendStatus(written: landing.end, flushed: landing.end, applied: landing.end)
      try Poll.until(.seconds(20), "the acknowledgement") {
        try server.psql("select flush_lsn >= '\(committed)' from pg_stat_replication") == "t"
      }
      #expect(try server.psql("select restart_lsn from pg_replication_slots") == landing.end.description)
      try stream.sendStatus(written: landing.end, flushed: landing.end, applied: landing.end, reply: .requested)
      let isAnswered = try stream.next(timeout: .seconds(20)) { if case .keepalive = $0 { true } else { false } }
      #expect(isAnswered == true)
      try busySlot(server)
      try stream.stop()
      try replication.dropSlot("receiver")
    }
  }

  private func busySlot(_ server: PostgresServer) throws {
    let other = try Sessions.replication(server.tcpConnection)
    let identity = try other.identifySystem()
    let start = WALPosition(timeline: identity.timeline, lsn: identity.lsn)
    guard case .slotInUse = postgresError({ _ = try other.streamWAL(slot: "receiver", from: start) }) else {
      throw Unexpected(nil)
    }
    guard case .slotMissing = postgresError({ _ = try other.streamWAL(slot: "absent", from: start) }) else {
      throw Unexpected(nil)
    }
    let ancient = WALPosition(timeline: identity.timeline, lsn: LSN(16 << 20))
    try server.psql(
      "select pg_switch_wal(); checkpoint; create table u as select 1; select pg_switch_wal(); checkpoint")
    let removed = postgresError {
      let stream = try other.streamWAL(slot: nil, from: ancient)
      while true { _ = try stream.next(timeout: .seconds(10)) { _ in } }
    }
    guard case .walRemoved = removed else { throw Unexpected(removed) }
  }

  @Test("ends when cancelled, when the server stops and when it is killed", arguments: [15, 18])
  func ends(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      let cancellation = Cancellation()
      let cancelled = try Sessions.replication(server.tcpConnection, cancellation: cancellation)
      let stream = try cancelled.streamWAL(slot: nil, from: try here(cancelled))
      try runTogether(
        Cancellation(), label: "cancel",
        [
          {
            let cancelled = try Sessions.replication(server.tcpConnection, cancellation: cancellation)
            let stream = try cancelled.streamWAL(slot: nil, from: try here(cancelled))
            #expect(throws: CancellationError.self) {
              while true { _ = try stream.next(timeout: .seconds(60)) { _ in } }
            }
          },
          {
            defer { cancellation.cancel() }
            try Poll.until(.seconds(20), "the stream") {
              try server.psql("select count(*) from pg_stat_replication where state = 'streaming'") == "2"
            }
          },
        ])
      #expect(throws: CancellationError.self) { try stream.next(timeout: .zero) { _ in } }
      try stopsInOrder(server)
      try server.start()
      try isKilled(server)
    }
  }

  private func stopsInOrder(_ server: PostgresServer) throws {
    let replication = try Sessions.replication(server.tcpConnection)
    let stream = try replication.streamWAL(slot: nil, from: try here(replication))
    let address = replication.address
    // One that has not begun to stream is ended like any other backend.
    try Poll.until(.seconds(20), "the stream") {
      try server.psql("select string_agg(state, ',') from pg_stat_replication") == "streaming"
    }
    try runTogether(
      Cancellation(), label: "stop",
      [
        { try server.stop() },
        {
          var end = LSN(0)
          let error = postgresError {
            while true {
              // The server leaves only when all WAL, its shutdown checkpoint included, has been acknowledged.
              _ = try stream.next(timeout: .seconds(60)) { message in
                if case .data(let start, _, _, let bytes) = message { end = start + UInt64(bytes.count) }
              }
              try stream.sendStatus(written: end, flushed: end, applied: end)
            }
          }
          #expect(error == .serverShutDown(address))
        },
      ])
  }

  private func isKilled(_ server: PostgresServer) throws {
    let replication = try Sessions.replication(server.tcpConnection)
    let stream = try replication.streamWAL(slot: nil, from: try here(replication))
    try server.crash()
    let error = postgresError { while true { _ = try stream.next(timeout: .seconds(60)) { _ in } } }
    guard case .connectionLost = error else { throw Unexpected(error) }
  }

  private func here(_ replication: ReplicationConnection) throws -> WALPosition {
    let identity = try replication.identifySystem()
    return WALPosition(timeline: identity.timeline, lsn: identity.lsn)
  }

  @Test("tells where a timeline ends and what follows", arguments: [15, 18])
  func followsTimelines(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      let start = try here(try Sessions.replication(server.connection))
      try server.psql("create table t as select 1")
      try server.stop()
      try Program.succeed("touch", [server.dataDirectory + "/standby.signal"], as: .postgres)
      try server.start()
      try server.psql("select pg_promote()")
      try server.waitUntilPromoted()
      let facts = try ServerFacts.read(from: try Sessions.sql(server.connection))
      #expect(facts.timeline == TimelineID(2) && !facts.isInRecovery)
      let replication = try Sessions.replication(server.connection)
      let stream = try replication.streamWAL(
        slot: nil, from: WALPosition(timeline: TimelineID(1), lsn: LSN(start.lsn.value / (16 << 20) * (16 << 20))))
      let landing = Landing()
      while landing.next == nil { _ = try landing.drain(stream) }
      #expect(landing.next == TimelineID(2))
      let history = try replication.timelineHistory(TimelineID(2))
      #expect(history.fileName == "00000002.history")
      let parsed = try TimelineHistory(
        timeline: TimelineID(2), text: String(decoding: history.content, as: UTF8.self))
      #expect(parsed.entries.map(\.timeline) == [TimelineID(1)] && parsed.entries.map(\.end) == [landing.end])
      // Asked for from exactly there, the old timeline has nothing more to give.
      let empty = try replication.streamWAL(
        slot: nil, from: WALPosition(timeline: TimelineID(1), lsn: landing.end))
      let follows = try empty.next(timeout: .zero) { message in
        if case .endOfTimeline(let next, let end) = message {
          next == TimelineID(2) && end == landing.end
        } else {
          false
        }
      }
      #expect(follows == true)
      #expect(try replication.identifySystem().timeline == TimelineID(2))
    }
  }

  @Test("message of any bytes is taken apart or refused")
  func parsesAnything() {
    for _ in 0..<5000 {
      var bytes = (0..<Int.random(in: 0...40)).map { _ in UInt8.random(in: 0...255) }
      if let type = Array("wk".utf8).randomElement(), !bytes.isEmpty { bytes[0] = type }
      bytes.withUnsafeBytes { _ = WALStream.parse($0) }
    }
  }
}

extension [UInt8] {
  func contains(_ text: String) -> Bool { firstRange(of: Array(text.utf8)) != nil }
}
