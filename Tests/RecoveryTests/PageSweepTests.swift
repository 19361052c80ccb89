import BlockingWork
import FoundationEssentials
import TestSupport
import Testing

@testable import Recovery

@Suite("The page checksums of a restored cluster") struct PageSweepTests {
  @Test("are verified for every page, tablespaces included") func sweep() throws {
    try PostgresServer.run { server in
      _ = try server.createTablespace("apart")
      try server.psql("create table t tablespace apart as select i, repeat('x', 100) from generate_series(1, 20000) i")
      let path = server.dataDirectory + "/" + (try server.psql("select pg_relation_filepath('t')"))
      try server.stop()
      let sound = try PageSweep(server.dataDirectory).run(workers: 2, Cancellation()) { _ in }
      #expect(sound.verdict == .ok && (sound.value.flatMap { Int($0) } ?? 0) > 3000, "\(sound)")
      var data = try Data(contentsOf: URL(filePath: path))
      data[data.startIndex + 3 * 8192 + 5000] ^= 1
      try data.write(to: URL(filePath: path))
      let damaged = try PageSweep(server.dataDirectory).run(workers: 2, Cancellation()) { _ in }
      #expect(damaged.verdict == .critical && damaged.value == sound.value)
      #expect(damaged.message?.contains("1 pages") == true && damaged.message?.contains("block 3 of") == true)
    }
  }
}
