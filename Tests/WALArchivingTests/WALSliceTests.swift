import BackupModel
import BlockingWork
import Foundation
import Repository
import TestSupport
import Testing

@testable import WALArchiving

@Suite("Slices of the open segment") struct WALSliceTests {
  private func slice(_ first: UInt64, _ end: UInt64) -> WALSlice { WALSlice(first: LSN(first), end: LSN(end)) }

  @Test("join as far as there is no hole, overlapping ones too")
  func chains() {
    let chain = { (slices: [WALSlice]) in WALSlice.chain(slices, from: LSN(100)).map { [$0.first.value, $0.end.value] }
    }
    #expect(chain([slice(150, 200), slice(100, 150)]) == [[100, 150], [150, 200]])
    #expect(chain([slice(100, 150), slice(160, 200)]) == [[100, 150]])
    #expect(chain([slice(110, 150)]) == [])
    #expect(chain([slice(100, 120), slice(100, 180), slice(120, 150), slice(150, 200)]) == [[100, 180], [150, 200]])
  }

  @Test("are named by two positions") func names() {
    #expect(WALSlice(component: "0000000000000064-00000000000000C8") == slice(100, 200))
    for bad in ["", "64-C8", "00000000000000C8-0000000000000064", "0000000000000064-00000000000000c8", "x"] {
      #expect(WALSlice(component: bad) == nil)
    }
  }

  @Test("a store that holds other bytes under a name is told, and the landed WAL is kept")
  func differentContent() throws {
    try TemporaryDirectory.run { directory in
      try PostgresServer.run(options: ["wal_keep_size": "1GB"], initdb: ["--wal-segsize=1"]) { server in
        let fixture = try ArchiveFixture(directory)
        let size = try WALSegmentSize(bytes: 1 << 20)
        let lineage = Lineage(cluster: fixture.cluster, systemIdentifier: try server.systemIdentifier)
        let lsn = try server.flushLSN
        let segment = WALSegment(timeline: TimelineID(1), holding: lsn, size: size)
        try fixture.run(server) { archiver, log in
          _ = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
          // The open segment of a moment later, as another server would have made it.
          let next = WALSegment(timeline: TimelineID(1), number: segment.number + 2)
          let name = lineage.walSegment(next, size: size)
          let buffer = SealedBuffer(capacity: 1 << 16)
          try fixture.repository.sealWAL(.walSegment, name, index: nil, into: buffer) { append in
            try [UInt8](repeating: 7, count: 1 << 20).withUnsafeBytes { try append($0) }
          }
          try fixture.repository.putSealed(
            name, buffer, in: fixture.repository.stores[0], cancellation: Cancellation())
          try server.makeWAL(megabytes: 4)
          try Poll.until(.seconds(30), "the report") {
            log.all.contains {
              if case .storeFailed(_, let report, _) = $0 { report.summary.contains("cannot store") } else { false }
            }
          }
          #expect(DurableFileProbe.exists(fixture.landing + "/" + next.name(size: size)))
        }
      }
    }
  }
}
