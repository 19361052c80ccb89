import BackupModel
import BackupPipeline
import BlockingWork
import Foundation
import Glibc
import Recovery
import Repository
import Storage
import TestSupport
import WALArchiving

/// A repository in a directory, with backups and WAL of a real server, and what is needed to restore from it.
final class RecoveryFixture: Sendable {
  let directory: String
  let cluster = try! ClusterID("oauth")
  let repository: Repository

  init(_ directory: String) throws {
    self.directory = directory
    // Restored servers run as another user than the tests do.
    chmod(directory, 0o755)
    let stores = [
      RepositoryStore(id: try StoreID("local"), objects: PosixStore(root: directory + "/store", makesRoot: true))
    ]
    repository = try Repository.create(in: stores, unlocking: .unwrapped, cancellation: Cancellation())
  }

  /// Keeps the server's WAL for the length of the closure, all of it by its end.
  func receiving<Result>(_ server: PostgresServer, _ body: (WALArchiver) throws -> Result) throws -> Result {
    let archiver = WALArchiver(
      WALArchiver.Options(
        cluster: cluster, connection: server.connection, landingDirectory: directory + "/landing",
        partialInterval: .milliseconds(100)), repository: repository)
    let cancellation = Cancellation()
    let group = DispatchGroup()
    DispatchQueue(label: "archiver").async(group: group) {
      do { try archiver.run(cancellation) } catch {}
    }
    defer {
      cancellation.cancel()
      group.wait()
    }
    _ = try archiver.waitUntilStreaming(cancellation: Cancellation(), timeout: .seconds(30))
    let result = try body(archiver)
    try store(server, archiver)
    return result
  }

  /// Returns once all WAL so far is in the repository.
  func store(_ server: PostgresServer, _ archiver: WALArchiver) throws {
    let end = try LSN(server.psql("select pg_current_wal_flush_lsn()"))
    _ = try archiver.waitUntilStored(
      through: WALPosition(timeline: TimelineID(1), lsn: end), cancellation: Cancellation(), timeout: .seconds(30))
  }

  @discardableResult
  func backUp(_ server: PostgresServer, _ archiver: WALArchiver) throws -> Backup {
    let pipeline = BaseBackupPipeline(
      .init(cluster: cluster, connection: server.connection, job: nil, run: nil, workers: 2), repository: repository,
      wal: Proof(archiver: archiver), observe: { _ in })
    return try pipeline.run(cancellation: Cancellation()).backup
  }

  private struct Proof: WALProof {
    let archiver: WALArchiver
    func begin(_ facts: WALProofFacts, cancellation: Cancellation) throws -> WALPosition {
      try archiver.waitUntilStreaming(cancellation: cancellation, timeout: .seconds(30))
    }
    func waitUntilStored(from start: LSN, through stop: WALPosition, cancellation: Cancellation) throws -> ProvenWAL {
      let failures = try archiver.waitUntilStored(through: stop, cancellation: cancellation, timeout: .seconds(30))
      return ProvenWAL(end: stop.lsn, failures: failures)
    }
    func end() {}
  }

  // MARK: Restoring

  /// Options for a restore into `name` below the fixture's directory.
  func options(_ name: String, _ target: RecoveryTarget = .endOfWAL) throws -> RestoreOptions {
    let home = directory + "/restored"
    if access(home, F_OK) != 0 {
      mkdir(home, 0o755)
      try ProgramUser.postgres.own(home)
    }
    var options = RestoreOptions(
      cluster: cluster, directory: "\(home)/\(name)",
      fetch: FetchCommand(executable: try fetchScript(), configuration: "/etc/backup d/it's %f.yaml"))
    options.target = target
    return options
  }

  func plan(_ options: RestoreOptions) throws -> RestorePlan {
    try RestorePlanner(repository: repository).plan(options)
  }

  @discardableResult
  func restore(_ options: RestoreOptions) throws -> RestoreReport {
    let plan = try plan(options)
    let report = try Restorer(repository: repository, options: options, plan: plan).run(cancellation: Cancellation())
    try serveWAL(plan)
    return report
  }

  /// Stands in for `backupd-wal`: hands out what ``serveWAL(_:)`` fetched with the library, and checks its arguments.
  private func fetchScript() throws -> String {
    let path = directory + "/it's the fetch"
    if access(path, F_OK) == 0 { return path }
    let script = """
      #!/bin/sh
      [ "$1 $2 $3 $4 $5 $6" = "fetch --config /etc/backup d/it's %f.yaml --cluster oauth --until" ] || exit 126
      file='\(directory)'/fetched/$(echo "$7" | tr / _)/$8
      [ -e "$file" ] || exit 1
      cp "$file" "$9" || exit 126

      """
    try Program.install(script, at: path)
    return path
  }

  /// Fetches every segment of timeline 1 that recovery may ask for, as ``WALFetch`` answers.
  func serveWAL(_ plan: RestorePlan) throws {
    let end = PlannedEnd.text(plan.end).split(separator: "/").joined(separator: "_")
    let place = "\(directory)/fetched/\(end)"
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    let fetch = WALFetch(repository: repository, cluster: cluster, until: plan.end)
    var segment = WALSegment(timeline: plan.timeline, holding: plan.header.startLSN, size: plan.segmentSize)
    while true {
      let name = segment.name(size: plan.segmentSize)
      let outcome = fetch.fetch(name, to: "\(place)/\(name)")
      if case .absent = outcome { break }
      if let report = outcome.report { throw OutcomeError(report: report) }
      chmod("\(place)/\(name)", 0o644)
      segment = segment.next
    }
  }

  struct OutcomeError: Error { let report: ErrorReport }

  /// What PostgreSQL's own program says of a restored directory that has not been started.
  func verify(_ path: String, version: Int) throws {
    let program = try PostgresInstallation.find(version).program("pg_verifybackup")
    try Program.succeed(program, ["-n", path])
  }

  /// Rows of the ledger on a restored server, once it is promoted.
  func ledger(_ path: String, version: Int) throws -> [Int] {
    try PostgresServer.startRestored(directory: path, version: version) { server in
      try server.waitUntilPromoted()
      return try server.psql("select n from ledger order by n").split(separator: "\n").compactMap { Int($0) }
    }
  }
}

/// What an instant of the ledger is known by, taken after a row was committed and before the next one begins.
struct LedgerMark {
  var row: Int
  var xid: UInt32
  var lsn: LSN
  var time: Timestamp
}

extension PostgresServer {
  func makeLedger() throws { try psql("create table ledger(n int primary key, xid xid8, filler text)") }

  /// Commits one row.
  @discardableResult
  func commitRow(_ row: Int) throws -> LedgerMark {
    let xid = try psql(
      """
      insert into ledger values (\(row), pg_current_xact_id(), repeat('x', 500)) returning xid
      """)
    let line = try psql(
      "select pg_current_wal_lsn(), (extract(epoch from clock_timestamp()) * 1000000)::bigint"
    ).split(separator: "|")
    return LedgerMark(
      row: row, xid: UInt32(xid)!, lsn: try LSN(String(line[0])), time: Timestamp(microseconds: Int64(line[1])!))
  }
}
