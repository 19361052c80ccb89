import BackupModel
import Foundation
import Glibc
import Repository
import TestSupport
import Testing

@testable import WALArchiving

/// WAL of a real server and what `pg_waldump` says of it.
private struct RealWAL {
  var segmentSize: WALSegmentSize
  var systemIdentifier: SystemIdentifier
  var first: LSN
  var bytes: [UInt8]
  /// `xid start outcome` of each transaction's end.
  var transactions: [String]
  var restorePoints: [String]

  /// Transactions of every kind over several segments, a switch among them.
  init(version: Int) throws {
    self = try PostgresServer.run(
      version: version, options: ["max_prepared_transactions": "10", "autovacuum": "off", "wal_keep_size": "1GB"],
      initdb: ["--wal-segsize=1"]
    ) { server in
      try Self.load(server)
      let size = try WALSegmentSize(
        bytes: UInt64(server.psql("select setting from pg_settings where name = 'wal_segment_size'"))!)
      let identifier = try SystemIdentifier(server.psql("select system_identifier from pg_control_system()"))
      try server.psql("checkpoint")
      let end = try LSN(server.psql("select pg_current_wal_flush_lsn()"))
      let last = try server.psql("select pg_walfile_name('\(end)')")
      try server.stop()
      let directory = server.dataDirectory + "/pg_wal"
      let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter {
        $0.utf8.count == 24 && $0 <= last
      }.sorted()
      var bytes: [UInt8] = []
      for name in names { bytes += try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)) }
      let first = try WALSegment(name: names[0], size: size).start(size: size)
      // Behind its end lie pages of the segment that the file was before.
      bytes.removeLast(bytes.count - Int(end - first))
      func dump(_ manager: String) throws -> [String] {
        try Program.run(
          server.installation.program("pg_waldump"),
          ["--rmgr=\(manager)", "-p", directory, "-s", "\(first)", "-e", "\(end)"]
        ).standardOutput.split(separator: "\n").map(String.init)
      }
      return RealWAL(
        segmentSize: size, systemIdentifier: identifier, first: first, bytes: bytes,
        transactions: try dump("Transaction").compactMap(Self.transaction),
        restorePoints: try dump("XLOG").compactMap(Self.restorePoint))
    }
  }

  private init(
    segmentSize: WALSegmentSize, systemIdentifier: SystemIdentifier, first: LSN, bytes: [UInt8],
    transactions: [String], restorePoints: [String]
  ) {
    self.segmentSize = segmentSize
    self.systemIdentifier = systemIdentifier
    self.first = first
    self.bytes = bytes
    self.transactions = transactions
    self.restorePoints = restorePoints
  }

  private static func load(_ server: PostgresServer) throws {
    try server.psql("create table t(i int, v text)")
    try server.psql("insert into t select i, repeat('x', 500) from generate_series(1, 1000) i")
    var script = ""
    for number in 0..<300 {
      script += "insert into t values (\(number), 'a');\n"
      if number % 7 == 0 { script += "begin; insert into t values (1, 'b'); rollback;\n" }
      if number % 10 == 0 {
        script += "begin; create table p\(number)(i int); savepoint a; insert into p\(number) values (1);"
        script +=
          "prepare transaction 'g\(number)'; \(number % 20 == 0 ? "commit" : "rollback") prepared 'g\(number)';\n"
      }
      if number % 50 == 0 { script += "select pg_create_restore_point('point-\(number)');\n" }
      if number % 20 == 0, number > 0 { script += "drop table p\(number);\n" }
    }
    try server.psql(script)
    try server.psql("select pg_switch_wal()")
    try server.psql("insert into t values (1, 'after')")
    try server.psql("begin; savepoint a; insert into t values (2, 'sub'); release a; commit")
    // Prepared transactions with long lists: dropped tables, subtransactions.
    let drops = (0..<300).map { "create table d\($0)(i int primary key, v text);" }.joined()
    try server.psql(drops)
    try server.psql(
      "begin;" + (0..<300).map { "drop table d\($0);" }.joined() + "prepare transaction 'big'")
    try server.psql("commit prepared 'big'")
    try server.psql("insert into t select i, repeat('y', 300) from generate_series(1, 1500) i")
  }

  private static func transaction(_ line: String) -> String? {
    guard let description = line.range(of: "desc: ").map({ line[$0.upperBound...] }),
      let kind = ["COMMIT_PREPARED", "ABORT_PREPARED", "COMMIT", "ABORT"].first(where: { description.hasPrefix($0) }),
      let start = line.range(of: "lsn: ").map({ line[$0.upperBound...].prefix { $0 != "," } }),
      let lsn = try? LSN(String(start))
    else { return nil }
    let header = line.range(of: "tx: ").map { line[$0.upperBound...].drop { $0 == " " }.prefix { $0 != "," } } ?? ""
    var xid = String(header)
    if kind.hasSuffix("PREPARED") {
      // "COMMIT_PREPARED 742: time; ..."
      xid = String(description.dropFirst(kind.count + 1).prefix { $0.isNumber })
    }
    return "\(xid) \(lsn) \(kind)"
  }

  private static func restorePoint(_ line: String) -> String? {
    guard let name = line.range(of: "desc: RESTORE_POINT ").map({ line[$0.upperBound...] }),
      let start = line.range(of: "lsn: ").map({ line[$0.upperBound...].prefix { $0 != "," } }),
      let lsn = try? LSN(String(start))
    else { return nil }
    return "\(name) \(lsn)"
  }
}

extension WALIndex.Outcome {
  fileprivate var dumpName: String {
    switch self {
    case .commit: "COMMIT"
    case .abort: "ABORT"
    case .commitPrepared: "COMMIT_PREPARED"
    case .abortPrepared: "ABORT_PREPARED"
    }
  }
}

@Suite("The WAL record decoder") struct WALRecordDecoderTests {
  private func decode(_ wal: RealWAL, splits: inout some RandomNumberGenerator, max: Int) throws -> WALIndex {
    var decoder = WALRecordDecoder(
      from: WALPosition(timeline: TimelineID(1), lsn: wal.first), segmentSize: wal.segmentSize,
      systemIdentifier: wal.systemIdentifier)
    var offset = 0
    while offset < wal.bytes.count {
      let count = min(wal.bytes.count - offset, Int.random(in: 1...max, using: &splits))
      try wal.bytes.withUnsafeBytes { try decoder.feed(UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
      offset += count
    }
    return decoder.takeIndex()
  }

  @Test("finds the transactions and restore points that pg_waldump finds", arguments: PostgresServer.versions)
  func agreesWithPgWaldump(version: Int) throws {
    let wal = try RealWAL(version: version)
    #expect(wal.transactions.count > 300)
    #expect(wal.restorePoints.count == 6)
    var generator = SystemRandomNumberGenerator()
    for limit in [61, 9000] {
      let index = try decode(wal, splits: &generator, max: limit)
      #expect(index.entries.map { "\($0.xid) \($0.start) \($0.outcome.dumpName)" } == wal.transactions)
      #expect(index.restorePoints.map { "\($0.name) \($0.start)" } == wal.restorePoints)
      #expect(!index.isPartial)
      #expect(try WALIndex(decoding: index.encoded()) == index)
    }
  }

  @Test("hands a record that crosses into the next segment to the next decoder")
  func continuesAcrossSegments() throws {
    let wal = try RealWAL(version: 15)
    var generator = SystemRandomNumberGenerator()
    let whole = try decode(wal, splits: &generator, max: 1 << 20)
    var joined: WALIndex?
    var open: WALRecordDecoder.OpenRecord?
    // Handed over at every page: records cross pages as they cross segments.
    var decoder = WALRecordDecoder(
      from: WALPosition(timeline: TimelineID(1), lsn: wal.first), segmentSize: wal.segmentSize,
      systemIdentifier: nil)
    let page = 8192
    for start in stride(from: 0, to: wal.bytes.count, by: page) {
      if let open, open.length > 0 {
        decoder = WALRecordDecoder(
          from: WALPosition(timeline: TimelineID(1), lsn: wal.first + UInt64(start)), segmentSize: wal.segmentSize,
          systemIdentifier: nil,
          openRecord: try JSONDecoder().decode(
            WALRecordDecoder.OpenRecord.self, from: JSONEncoder().encode(open)))
      }
      try decoder.feed(Array(wal.bytes[start..<min(start + page, wal.bytes.count)]))
      let index = decoder.takeIndex()
      open = decoder.openRecord
      if joined == nil { joined = index } else { joined!.append(index) }
    }
    #expect(joined?.entries == whole.entries)
    #expect(joined?.restorePoints == whole.restorePoints)
  }

  @Test("never traps, whatever it is fed")
  func survivesMutations() throws {
    let wal = try RealWAL(version: 18)
    var generator = SystemRandomNumberGenerator()
    let length = 1 << 18
    var refused = 0
    for _ in 0..<30 {
      let start = Int.random(in: 0..<(wal.bytes.count - length) / 8192, using: &generator) * 8192
      var bytes = Array(wal.bytes[start..<start + length])
      for _ in 0..<Int.random(in: 1...200, using: &generator) {
        bytes[Int.random(in: 0..<length, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      var decoder = WALRecordDecoder(
        from: WALPosition(timeline: TimelineID(1), lsn: wal.first + UInt64(start)), segmentSize: wal.segmentSize,
        systemIdentifier: wal.systemIdentifier)
      do {
        try decoder.feed(bytes)
      } catch {
        refused += 1
      }
      _ = decoder.takeIndex()
    }
    #expect(refused > 0)
    for _ in 0..<2000 {
      let head = (0..<Int.random(in: 0...60, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator)
      }
      let open = WALRecordDecoder.OpenRecord(
        start: LSN(generator.next()), length: UInt32.random(in: 0...100, using: &generator),
        received: UInt32.random(in: 0...100, using: &generator), head: head)
      var decoder = WALRecordDecoder(
        from: WALPosition(timeline: TimelineID(1), lsn: wal.first), segmentSize: wal.segmentSize,
        systemIdentifier: nil, openRecord: open)
      try? decoder.feed(Array(wal.bytes[..<32768]))
    }
  }

  @Test("refuses pages of another cluster and pages from elsewhere")
  func refusesForeignPages() throws {
    let wal = try RealWAL(version: 15)
    func failure(_ position: LSN, _ identifier: SystemIdentifier, _ bytes: ArraySlice<UInt8>) -> WALArchivingError? {
      var decoder = WALRecordDecoder(
        from: WALPosition(timeline: TimelineID(1), lsn: position), segmentSize: wal.segmentSize,
        systemIdentifier: identifier)
      do {
        try decoder.feed(Array(bytes))
        return nil
      } catch { return error }
    }
    let segment = wal.segmentSize.bytes
    #expect(failure(wal.first, wal.systemIdentifier, wal.bytes[..<65536]) == nil)
    #expect(failure(wal.first, SystemIdentifier(1), wal.bytes[..<65536]) != nil)
    #expect(failure(wal.first + segment, wal.systemIdentifier, wal.bytes[..<65536]) != nil)
    let holed = wal.bytes[..<16384] + wal.bytes[24576..<65536]
    #expect(failure(wal.first, wal.systemIdentifier, ArraySlice(holed)) != nil)
  }
}

@Suite("The WAL index") struct WALIndexTests {
  @Test("refuses bytes that are not an index, and never traps")
  func survivesMutations() throws {
    var generator = SystemRandomNumberGenerator()
    var index = WALIndex(timeline: TimelineID(3), first: LSN(0x1000000), end: LSN(0x2000000))
    index.serverClock = Timestamp(microseconds: 5)
    index.completeEnd = LSN(0x1FFFFF8)
    index.openRecord = LSN(0x1FFFFF8)
    index.entries = [
      .init(outcome: .commit, xid: 5, time: Timestamp(microseconds: 10), start: LSN(0xFFFF00), end: LSN(0x1000020)),
      .init(
        outcome: .abortPrepared, xid: 4, time: Timestamp(microseconds: -3), start: LSN(0x1000020), end: LSN(0x1000080)),
    ]
    index.restorePoints = [
      .init(name: "naïve", time: Timestamp(microseconds: 7), start: LSN(0x1000080), end: LSN(0x10000F0))
    ]
    let good = index.encoded()
    #expect(try WALIndex(decoding: good) == index)
    #expect(index.commits == 1 && index.aborts == 1)
    for _ in 0..<5000 {
      var bad = good
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bad[Int.random(in: 0..<bad.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) { bad.removeLast(Int.random(in: 0...bad.count, using: &generator)) }
      _ = try? WALIndex(decoding: bad)
    }
    #expect(throws: WALIndexError.versionUnknown(2)) { try WALIndex(decoding: [2, 0] + good.dropFirst(2)) }
  }
}
