import BackupModel
import BlockingWork
import Repository
import TestSupport
import Testing

@testable import WALArchiving

@Suite("The WAL of an idle server", .serialized) struct IdleServerTests {
  @Test("is known to be complete through a time after the last commit")
  func clock() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: ["autovacuum": "off"], initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        _ = try fixture.run(server) { archiver, _ in
          let start = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          try server.psql("create table last_thing (n int)")
          _ = try archiver.waitUntilStored(
            through: WALPosition(timeline: start.timeline, lsn: server.flushLSN), cancellation: Cancellation(),
            timeout: .seconds(30))
          let wanted = Timestamp.now() + .seconds(1)
          // Nothing happens from here on, so only the server's clock can tell that nothing did.
          try Poll.until(.seconds(60), "the idle server's clock in the store") {
            let answer = try fixture.catalog().position(ofTime: wanted, from: start)
            guard case .endOfWAL(let latest) = answer, let clock = latest.serverClock else { return false }
            return clock >= wanted && latest.lastCommit != nil
          }
        }
      }
    }
  }

  @Test("cuts clocks less and less often, and none while slices are cut")
  func pauses() throws {
    var state = ShippingQueue.State()
    let store = try StoreID("a")
    let segment = WALSegment(timeline: TimelineID(1), number: 1)
    let start = segment.start(size: .standard)
    let index = WALIndex(timeline: segment.timeline, first: start, end: start)
    state.open = ShippingQueue.Open(segment: segment, flushed: start, index: index, sliceEnd: start)
    var cut: [Int64] = []
    for second in 0..<Int64(3600) {
      state.open?.clock = Timestamp(seconds: second)
      state.nextSlice = .now
      state.cutSlice(.now, interval: .zero, pending: [store])
      if state.items.isEmpty { continue }
      state.items = []
      cut.append(second)
    }
    let pauses = zip(cut, cut.dropFirst()).map { $1 - $0 }
    #expect(cut.first == 0)
    #expect(pauses == pauses.sorted() && pauses.last == 300 && pauses.count < 20)
  }
}
