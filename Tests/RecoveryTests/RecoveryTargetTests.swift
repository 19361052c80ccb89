import BackupModel
import BlockingWork
import Foundation
import Glibc
import Recovery
import Repository
import TestSupport
import Testing

@Suite("Recovery targets", .serialized) struct RecoveryTargetTests {
  @Test("each give exactly the rows committed by then", arguments: [15, 18])
  func reachesTargets(version: Int) throws {
    try TemporaryDirectory.run { directory in
      let fixture = try RecoveryFixture(directory)
      try PostgresServer.run(version: version) { server in
        let space = try server.createTablespace("second")
        let marks = try history(of: server, fixture)
        try check(marks, fixture, version, space)
        try refusals(marks, fixture)
      }
    }
  }

  private struct History {
    var marks: [LedgerMark] = []
    var first: Backup
    var second: Backup
  }

  /// Rows 1 to 3, a backup, 4 to 8 with restore points, another backup, 9 to 12.
  private func history(of server: PostgresServer, _ fixture: RecoveryFixture) throws -> History {
    try fixture.receiving(server) { archiver in
      try server.makeLedger()
      try server.psql("create table elsewhere(n int) tablespace second; insert into elsewhere values (1)")
      var marks = try (1...3).map { try server.commitRow($0) }
      let first = try fixture.backUp(server, archiver)
      for row in 4...8 {
        marks.append(try server.commitRow(row))
        try server.psql("select pg_create_restore_point('after-\(row)')")
      }
      let second = try fixture.backUp(server, archiver)
      for row in 9...12 { marks.append(try server.commitRow(row)) }
      try server.psql("begin; insert into ledger values (99, pg_current_xact_id(), ''); rollback")
      return History(marks: marks, first: first, second: second)
    }
  }

  private func check(_ history: History, _ fixture: RecoveryFixture, _ version: Int, _ space: String) throws {
    let marks = Dictionary(uniqueKeysWithValues: history.marks.map { ($0.row, $0) })
    let cases: [(RecoveryTarget, Int, BackupID)] = [
      (.time(marks[5]!.time), 5, history.first.id), (.time(marks[10]!.time), 10, history.second.id),
      (.lsn(marks[6]!.lsn), 6, history.first.id), (.lsn(marks[11]!.lsn), 11, history.second.id),
      (.xid(marks[7]!.xid), 7, history.first.id), (.xid(marks[12]!.xid), 12, history.second.id),
      (.name("after-4"), 4, history.first.id), (.endOfWAL, 12, history.second.id),
      (.immediate, 8, history.second.id),
    ]
    // Every kind of target on one version, half of them on the other: each costs a server.
    for (number, (target, rows, backup)) in cases.enumerated() where version == 15 || number % 2 == 0 {
      var options = try fixture.options("\(number)", target)
      options.tablespaces = [space: "\(fixture.directory)/restored/space-\(number)"]
      let report = try fixture.restore(options)
      #expect(report.backup == backup, "\(target)")
      try fixture.verify(options.directory, version: version)
      #expect(try fixture.ledger(options.directory, version: version) == Array(1...rows), "\(target)")
      #expect(readlink(options.directory + "/pg_tblspc") == ["\(fixture.directory)/restored/space-\(number)"])
    }
  }

  private func readlink(_ directory: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: directory + "/" + $0)
    }
  }

  private func refusals(_ history: History, _ fixture: RecoveryFixture) throws {
    let last = history.marks.last!
    let targets: [(RecoveryTarget, String)] = [
      (.time(last.time + .seconds(3600)), "last instant"),
      (.time(history.first.started - .seconds(60)), "before the end of the oldest backup"),
      (.lsn(LSN(last.lsn.value + (1 << 30))), "last complete record"), (.lsn(LSN(1)), "before the end"),
      (.xid(4_000_000_000), "No transaction 4000000000"), (.xid(history.marks[0].xid), "No transaction"),
      (.name("after-44"), "\"after-4\""),
    ]
    for (number, (target, reason)) in targets.enumerated() {
      let options = try fixture.options("refused-\(number)", target)
      do {
        _ = try fixture.plan(options)
        Issue.record("\(target) was planned")
      } catch let error as RecoveryError {
        #expect(error.detail?.contains(reason) == true, "\(error.detail ?? "")")
        #expect(error.detail?.contains("Reachable: from ") == true, "\(error.detail ?? "")")
      }
      #expect(access(options.directory, F_OK) != 0)
    }
  }
}
