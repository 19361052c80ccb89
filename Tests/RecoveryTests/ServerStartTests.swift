import BackupModel
import BlockingWork
import Foundation
import Glibc
import Repository
import TestSupport
import Testing

@testable import Recovery

@Suite("Starting a restored server", .serialized) struct ServerStartTests {
  @Test("ends promoted, paused or shut down, or says why not", arguments: [15, 18])
  func starts(version: Int) throws {
    try TemporaryDirectory.run { directory in
      let fixture = try RecoveryFixture(directory)
      try PostgresServer.run(version: version) { server in
        try fixture.receiving(server) { archiver in
          try server.makeLedger()
          try fixture.backUp(server, archiver)
          try server.commitRow(1)
          try server.psql("select pg_create_restore_point('here')")
          try server.commitRow(2)
        }
        // Debian's way: a data directory without configuration. Recovery needs what the control file says.
        try promote(fixture, version)
        try pause(fixture, version)
        try shutDown(fixture, version)
        try failure(fixture, version)
      }
    }
  }

  private func start(
    _ fixture: RecoveryFixture, _ options: RestoreOptions, _ version: Int, configuration: [String] = []
  ) throws -> RestoreReport {
    var report = try fixture.restore(options)
    for name in configuration { unlink(options.directory + "/" + name) }
    var startOptions = ServerStart.Options()
    startOptions.binDirectory = try PostgresInstallation.find(version).binDirectory
    startOptions.deadline = .seconds(60)
    startOptions.socketDirectory = configuration.isEmpty ? options.directory : nil
    startOptions.port = configuration.isEmpty ? try TestSupport.FreePort.find() : nil
    let restorer = Restorer(
      repository: fixture.repository, options: options, plan: try fixture.plan(options))
    try restorer.start(startOptions, into: &report, cancellation: Cancellation())
    return report
  }

  private func promote(_ fixture: RecoveryFixture, _ version: Int) throws {
    let options = try fixture.options("promoted", .name("here"))
    let report = try start(
      fixture, options, version, configuration: ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"])
    let outcome = try #require(report.server)
    try PostgresServer.startedElsewhere(directory: options.directory, version: version) { server throws in
      #expect(outcome.state == .promoted)
      #expect(outcome.port == Int(server.port) && outcome.socketDirectory == server.socketDirectory)
      #expect(try server.psql("select n from ledger") == "1")
      #expect(try server.psql("select pg_is_in_recovery()") == "f")
      #expect(try server.psql("show listen_addresses") == "")
      #expect(report.warnings.contains { $0.contains("minimal") })
      #expect(report.phases.map(\.name).contains("recovery"))
    }
  }

  private func pause(_ fixture: RecoveryFixture, _ version: Int) throws {
    var options = try fixture.options("paused", .name("here"))
    options.action = .pause
    let report = try start(fixture, options, version)
    try PostgresServer.startedElsewhere(directory: options.directory, version: version) { server throws in
      #expect(report.server?.state == .paused)
      #expect(try server.psql("select n, pg_is_in_recovery() from ledger") == "1|t")
      try server.psql("select pg_wal_replay_resume()")
      try server.waitUntilPromoted()
    }
  }

  private func shutDown(_ fixture: RecoveryFixture, _ version: Int) throws {
    var options = try fixture.options("shut", .name("here"))
    options.action = .shutdown
    #expect(try start(fixture, options, version).server?.state == .shutDown)
    #expect(try ControlFile(readingFrom: options.directory).state == .shutDownInRecovery)
  }

  private func failure(_ fixture: RecoveryFixture, _ version: Int) throws {
    let options = try fixture.options("failed", .name("here"))
    #expect {
      try fixture.restore(options)
      let control = options.directory + "/postgresql.auto.conf"
      let text = try String(contentsOfFile: control, encoding: .utf8)
      try (text + "port = 'nonsense'\n").write(toFile: control, atomically: false, encoding: .utf8)
      var startOptions = ServerStart.Options()
      startOptions.binDirectory = try PostgresInstallation.find(version).binDirectory
      let start = ServerStart(
        directory: options.directory, configurationDirectory: nil, action: .promote, owner: nil, options: startOptions)
      _ = try start.run(cancellation: Cancellation())
    } throws: { error in
      guard case RecoveryError.serverNotStarted(_, let reason, let log) = error else { return false }
      return reason.contains { $0.contains("FATAL") } && access(log, F_OK) == 0
    }
  }

  @Test("reads the control file as pg_controldata does", arguments: [15, 16, 17, 18])
  func controlFile(version: Int) throws {
    try PostgresServer.run(
      version: version, options: ["max_prepared_transactions": "3", "max_locks_per_transaction": "70"],
      initdb: ["--wal-segsize=1"]
    ) { server throws in
      let control = try ControlFile(readingFrom: server.dataDirectory)
      #expect(control.state == .inProduction)
      #expect(
        control.systemIdentifier.description == (try server.psql("select system_identifier from pg_control_system()")))
      #expect(control.maxConnections == 40 && control.maxWALSenders == 10 && control.maxWorkerProcesses == 8)
      #expect(control.maxPreparedTransactions == 3 && control.maxLocksPerTransaction == 70)
      #expect(control.walSegmentBytes == 1 << 20)
      let bytes = Array(try Data(contentsOf: URL(filePath: server.dataDirectory + "/global/pg_control")))
      for length in [0, 100, 295] {
        #expect(throws: RecoveryError.self) { try ControlFile(Array(bytes[..<length]), of: "x") }
      }
      var random = SystemRandomNumberGenerator()
      for _ in 0..<200 {
        var damaged = bytes
        for _ in 0..<8 { damaged[Int.random(in: 0..<300, using: &random)] = UInt8.random(in: 0...255, using: &random) }
        _ = try? ControlFile(damaged, of: "x")
      }
    }
  }
}
