import BackupModel
import Testing

@testable import WALArchiving

@Suite("The server's clock at a position of its WAL") struct ServerClocksTests {
  private static let begin = ContinuousClock.now
  private func point(_ lsn: UInt64, _ seconds: Double) -> ServerClocks.Point {
    ServerClocks.Point(
      lsn: LSN(lsn), clock: Timestamp(seconds: 1_000_000) + .milliseconds(Int64(seconds * 1000)),
      moment: Self.begin + .milliseconds(Int64(seconds * 1000)))
  }

  @Test("is the newest of what is held") func newest() {
    var clocks = ServerClocks()
    for second in 1...10 { clocks.note(point(UInt64(second) * 0x100, Double(second)), lowest: LSN(0)) }
    #expect(clocks.point(at: LSN(0x80)) == nil)
    #expect(clocks.point(at: LSN(0x350))?.lsn == LSN(0x300))
    #expect(clocks.point(at: LSN(0x9999))?.lsn == LSN(0xA00))
  }

  @Test("goes on while the server is idle, and not back when WAL is received again") func idle() {
    var clocks = ServerClocks()
    clocks.note(point(0x100, 1), lowest: LSN(0))
    clocks.note(point(0x100, 60), lowest: LSN(0))
    #expect(clocks.points.count == 1 && clocks.point(at: LSN(0x100))?.moment == point(0, 60).moment)
    clocks.note(point(0x80, 70), lowest: LSN(0))
    clocks.note(point(0x100, 5), lowest: LSN(0))
    #expect(clocks.points.count == 1 && clocks.point(at: LSN(0x100))?.moment == point(0, 60).moment)
  }

  @Test("costs no memory while a store is away: points a second apart, thinned out, the ends kept") func bounded() {
    var clocks = ServerClocks()
    for number in 1...200_000 { clocks.note(point(UInt64(number), Double(number) / 10), lowest: LSN(3000)) }
    #expect(clocks.points.count <= ServerClocks.limit)
    #expect(clocks.points.last?.lsn == LSN(200_000))
    // What the store that lags has is still known.
    #expect(clocks.point(at: LSN(3000)) != nil)
    clocks.note(point(200_001, 20_001), lowest: LSN(200_000))
    #expect(clocks.points.count <= 2)
  }
}
