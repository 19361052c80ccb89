import BackupModel
import TestSupport
import Testing

@testable import Postgres

@Suite("Server facts") struct ServerFactsTests {
  @Test("agree with the server", arguments: [15, 18])
  func agree(version: Int) throws {
    try PostgresServer.run(
      version: version, options: ["max_slot_wal_keep_size": "3GB"], initdb: ["--wal-segsize=4"]
    ) { server in
      let connection = try Sessions.sql(server.connection)
      let facts = try ServerFacts.read(from: connection)
      #expect(facts.majorVersion == version)
      #expect(
        facts.systemIdentifier.description == (try server.psql("select system_identifier from pg_control_system()")))
      #expect(facts.timeline == TimelineID(1))
      #expect(facts.walSegmentSize.bytes == 4 << 20)
      #expect(facts.blockSize == 8192 && facts.dataChecksums && !facts.isInRecovery)
      #expect(facts.dataDirectory == server.dataDirectory)
      #expect(facts.configFile == server.dataDirectory + "/postgresql.conf")
      #expect(facts.walLevel == "replica" && facts.maxWALSenders == 10 && facts.freeWALSenders == 10)
      #expect(facts.maxReplicationSlots == 10 && facts.freeReplicationSlots == 10)
      #expect(facts.maxSlotWALKeepSize == ByteCount(Int64(3) << 30))
      #expect(facts.isSuperuser && facts.hasReplicationAttribute && facts.canReadServerFiles)
      #expect(facts.maxConnections == 40 && facts.maxLocksPerTransaction == 64 && facts.archiveMode == "off")
      #expect(Preflight.baseBackup(facts, walSenders: 2) == Preflight(failures: [], warnings: []))
      #expect(Preflight.walStreaming(facts, slot: .missing) == Preflight(failures: [], warnings: []))
      try countsWhatIsTaken(server, connection)
      try readsFiles(server, connection)
      try degrades(server)
    }
  }

  private func countsWhatIsTaken(_ server: PostgresServer, _ connection: Connection) throws {
    let replication = try Sessions.replication(server.connection)
    try replication.createPhysicalSlot("one")
    let facts = try ServerFacts.read(from: connection)
    #expect(facts.freeWALSenders == 9 && facts.freeReplicationSlots == 9)
    try replication.dropSlot("one")
  }

  private func readsFiles(_ server: PostgresServer, _ connection: Connection) throws {
    let file = try connection.readServerFile(server.dataDirectory + "/PG_VERSION")
    #expect(file.map { String(decoding: $0, as: UTF8.self) } == "\(server.version)\n")
    #expect(try connection.readServerFile("/nowhere/at/all") == nil)
    let path = try server.psql("select pg_relation_filepath('pg_class')")
    #expect(try connection.readRelationPage(path: path, offset: 8192)?.count == 8192)
    #expect(try connection.readRelationPage(path: path, offset: 1 << 29)?.isEmpty == true)
    #expect(try connection.readRelationPage(path: "base/1/99999999", offset: 0) == nil)
  }

  private func degrades(_ server: PostgresServer) throws {
    let conninfo = try server.freshRole()
    let connection = try Sessions.sql(conninfo)
    let facts = try ServerFacts.read(from: connection)
    #expect(facts.dataDirectory == nil && facts.configFile == nil && facts.includedFiles == [])
    #expect(!facts.isSuperuser && !facts.hasReplicationAttribute && !facts.canReadServerFiles)
    #expect(facts.walSegmentSize.bytes == 4 << 20)
    #expect(try connection.readServerFile(server.dataDirectory + "/PG_VERSION") == nil)
    #expect(
      Preflight.baseBackup(facts).failures == [.replicationAttributeMissing(role: facts.role, facts.address)])
  }

  @Test("name the files that configuration includes")
  func listIncludes() throws {
    try PostgresServer.run(version: 18) { server in
      try server.psql("alter system set work_mem = '5MB'")
      let facts = try ServerFacts.read(from: try Sessions.sql(server.connection))
      #expect(facts.includedFiles == [server.dataDirectory + "/postgresql.auto.conf"])
    }
  }

  @Test("of a server without room show it before anything begins", arguments: [15, 18])
  func preflight(version: Int) throws {
    try PostgresServer.run(
      version: version, options: ["wal_level": "minimal", "max_wal_senders": "0", "max_replication_slots": "0"]
    ) { server in
      let facts = try ServerFacts.read(from: try Sessions.sql(server.connection))
      let preflight = Preflight.walStreaming(facts, slot: .missing)
      #expect(preflight.failures.first == .walLevelTooLow(facts.address, level: "minimal"))
      #expect(preflight.failures.count == 3)
      #expect(
        preflight.warnings.map(\.summary) == ["a replication slot may fill the disk of server \"\(facts.address)\""])
      #expect(throws: PostgresError.self) { try preflight.check() }
      guard case .walSenderUnavailable = postgresError({ _ = try Sessions.replication(server.connection) }) else {
        throw Unexpected(nil)
      }
    }
  }
}
