import BackupModel
import BlockingWork
import TarArchive
import TestSupport
import Testing

@testable import Postgres

@Suite("A base backup") struct BaseBackupStreamTests {
  /// What a stream brought.
  struct Received {
    var archives: [String] = []
    var locations: [String] = []
    var members: [String: [TarMember]] = [:]
    var manifest: [UInt8] = []
    var progress: Int64 = 0
    var stop: WALPosition?
  }

  @Test("streams every file, the tablespaces and the manifest", arguments: [15, 16, 17, 18])
  func streams(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      let location = try server.createTablespace("elsewhere")
      try server.psql(
        "create table t tablespace elsewhere as select g, repeat('x', 500) as f from generate_series(1, 20000) g")
      let replication = try Sessions.replication(server.tcpConnection)
      let stream = try replication.baseBackup(.init(label: "it's a test"))
      #expect(stream.tablespaces.count == 2)
      #expect(stream.tablespaces.first?.location == location)
      #expect(stream.tablespaces.last?.oid == nil && stream.tablespaces.last?.location == nil)
      try server.psql("select pg_switch_wal()")
      let received = try read(stream)
      let oid = try #require(stream.tablespaces.first?.oid)
      #expect(received.archives == ["\(oid).tar", "base.tar"])
      #expect(received.locations == [location, ""])
      let base = try #require(received.members["base.tar"])
      #expect(base.first?.path == "backup_label" && base.last?.path == "global/pg_control")
      #expect(base.contains { $0.path == "pg_tblspc/\(oid)" && $0.kind == .symbolicLink(target: location) })
      #expect(!base.contains { $0.path == "tablespace_map" })
      #expect(try #require(received.members["\(oid).tar"]).contains { $0.size > 8 << 20 })
      #expect(String(decoding: received.manifest, as: UTF8.self).contains("\"CRC32C\""))
      #expect(received.progress > 20 << 20)
      #expect(stream.start.timeline == TimelineID(1))
      #expect(try #require(received.stop).lsn > stream.start.lsn)
      // The connection is good for more.
      #expect(try replication.show("wal_level") == "replica")
    }
  }

  private func read(_ stream: BaseBackupStream, _ each: () throws -> Void = {}) throws -> Received {
    var received = Received()
    var parser: TarParser?
    received.stop = try stream.read { event in
      try each()
      switch event {
      case .archive(let name, let location):
        try parser?.finish()
        parser = TarParser(archive: name)
        received.archives.append(name)
        received.locations.append(location)
      case .data(let bytes):
        try parser?.consume(bytes) { event in
          if case .member(let member) = event { received.members[received.archives.last!, default: []].append(member) }
        }
      case .manifest: try parser?.finish()
      case .manifestData(let bytes): received.manifest += Array(bytes)
      case .progress(let bytes): received.progress = bytes
      }
    }
    return received
  }

  @Test(
    "ends at once when it is cancelled, when its reader throws, and when the server is killed", arguments: [15, 18])
  func ends(version: Int) throws {
    try PostgresServer.run(version: version) { server in
      // Large enough not to fit into the buffers between the server and us.
      try server.psql("create table t as select repeat(md5(g::text), 60) as f from generate_series(1, 30000) g")
      let cancellation = Cancellation()
      let cancelled = try Sessions.replication(server.tcpConnection, cancellation: cancellation)
      let first = try cancelled.baseBackup(.init(label: "cancelled"))
      #expect(throws: CancellationError.self) { _ = try read(first) { cancellation.cancel() } }
      #expect(!cancelled.connection.isOpen)
      try Poll.until(.seconds(20), "the WAL sender's end") {
        try server.psql("select count(*) from pg_stat_replication") == "0"
      }
      struct Stop: Error {}
      let second = try Sessions.replication(server.tcpConnection).baseBackup(.init(label: "thrown"))
      #expect(throws: Stop.self) { _ = try read(second) { throw Stop() } }
      let third = try Sessions.replication(server.tcpConnection).baseBackup(.init(label: "killed"))
      var isKilled = false
      let error = postgresError {
        _ = try read(third) {
          if !isKilled { try server.crash() }
          isKilled = true
        }
      }
      guard case .connectionLost = error else { throw Unexpected(error) }
      #expect(error?.summary.contains("could not take a base backup of server") == true)
    }
  }

  @Test("is cancelled while the server still writes its checkpoint")
  func isCancelledInCheckpoint() throws {
    try PostgresServer.run(options: ["checkpoint_completion_target": "0.9", "checkpoint_timeout": "1h"]) { server in
      try server.psql("create table t as select repeat(md5(g::text), 60) as f from generate_series(1, 5000) g")
      let cancellation = Cancellation()
      let replication = try Sessions.replication(server.tcpConnection, cancellation: cancellation)
      let state = "select count(*) from pg_stat_progress_basebackup where phase like '%checkpoint%'"
      try runTogether(
        Cancellation(), label: "cancel",
        [
          {
            #expect(throws: CancellationError.self) {
              _ = try replication.baseBackup(.init(label: "spread", checkpoint: .spread))
            }
          },
          {
            defer { cancellation.cancel() }
            try Poll.until(.seconds(30), "the checkpoint") { try server.psql(state) == "1" }
          },
        ])
      try Poll.until(.seconds(20), "the backup's end") { try server.psql(state) == "0" }
    }
  }

  @Test("asks in the words of the protocol")
  func command() {
    let options = BaseBackupStream.Options(label: "o'clock", checkpoint: .spread, maximumRate: ByteCount(1 << 20))
    let text = BaseBackupStream.command(options)
    #expect(text.hasPrefix("BASE_BACKUP (LABEL 'o''clock', "))
    #expect(text.contains("CHECKPOINT 'spread'") && text.contains("VERIFY_CHECKSUMS false"))
    #expect(text.hasSuffix("MAX_RATE 1024)"))
  }

  @Test("message of any bytes is taken apart or refused")
  func parsesAnything() {
    for _ in 0..<5000 {
      var parser = BaseBackupStream.MessageParser()
      var bytes = (0..<Int.random(in: 0...40)).map { _ in UInt8.random(in: 0...255) }
      if let type = Array("nmdp".utf8).randomElement(), !bytes.isEmpty { bytes[0] = type }
      bytes.withUnsafeBytes { _ = parser.event($0) }
    }
  }
}
