import BackupModel
import BlockingWork
import Repository
import TestSupport
import Testing

@testable import Recovery

@Suite("Restore plans") struct RestorePlannerTests {
  typealias Made = FabricatedRepository

  /// Backups in segments 1 and 4; commits at 10, 20, … seconds, one a segment; the last segment open.
  private func standard(_ directory: String) throws -> (Made, first: BackupID, second: BackupID) {
    let made = try Made(directory)
    for number in UInt64(1)...6 {
      var events = [Made.Event.commit(offset: 5000, xid: UInt32(100 + number), at: Int64(number) * 10)]
      if number == 3 { events.append(.restorePoint(offset: 6000, "before-migration", at: 31)) }
      try made.storeWAL(number, clock: Int64(number) * 10 + 5, events)
    }
    try made.storeWAL(7, upTo: 9000, clock: 75, [.commit(offset: 200, xid: 107, at: 70)])
    let first = try made.backUp(start: Made.lsn(1, 40), stop: Made.lsn(1, 4000), at: 5)
    let second = try made.backUp(start: Made.lsn(4, 6000), stop: Made.lsn(4, 9000), at: 43)
    return (made, first, second)
  }

  @Test("pick the newest backup that ends before the target")
  func picksNewest() throws {
    try TemporaryDirectory.run { directory in
      let (made, first, second) = try standard(directory)
      let cases: [(RecoveryTarget, BackupID, RecoveryTarget)] = [
        (.endOfWAL, second, .endOfWAL), (.immediate, second, .immediate),
        (.time(Made.time(25)), first, .time(Made.time(25))), (.time(Made.time(42)), first, .time(Made.time(42))),
        (.time(Made.time(55)), second, .time(Made.time(55))),
        // Nothing ended after these, and the WAL is complete through the second.
        (.time(Made.time(70)), second, .endOfWAL), (.time(Made.time(75)), second, .endOfWAL),
        (.lsn(Made.lsn(2)), first, .lsn(Made.lsn(2))), (.lsn(Made.lsn(5)), second, .lsn(Made.lsn(5))),
        (.lsn(Made.lsn(7, 300)), second, .endOfWAL), (.lsn(Made.lsn(7, 9000)), second, .endOfWAL),
        (.xid(103), first, .xid(103)), (.xid(106), second, .xid(106)),
        (.name("before-migration"), first, .name("before-migration")),
      ]
      for (target, backup, replay) in cases {
        let plan = try made.plan(made.options(target))
        #expect(plan.backup == backup, "\(target)")
        #expect(plan.replayTarget == replay, "\(target)")
        #expect(plan.end == WALPosition(timeline: TimelineID(1), lsn: Made.lsn(7, 9000)))
      }
    }
  }

  @Test("refuse what cannot be reached and say what can")
  func refuses() throws {
    try TemporaryDirectory.run { directory in
      let (made, _, second) = try standard(directory)
      func detail(_ target: RecoveryTarget, _ backup: BackupID? = nil) throws -> String {
        var options = try made.options(target)
        options.backup = backup
        do {
          _ = try made.plan(options)
        } catch let error as RecoveryError {
          return error.detail ?? ""
        }
        return "planned"
      }
      #expect(try detail(.time(Made.time(76))).contains("knows of is \(Made.time(75))"))
      #expect(try detail(.time(Made.time(4))).contains("oldest backup"))
      #expect(try detail(.time(Made.time(41)), second).contains("this backup"))
      #expect(try detail(.lsn(Made.lsn(7, 9500))).contains("ends at \(Made.lsn(7, 9000))"))
      #expect(try detail(.xid(99)).contains("No transaction 99"))
      #expect(try detail(.name("before-migrations")).contains("\"before-migration\""))
      let windows = "Reachable: from \(Made.time(6)) (LSN \(Made.lsn(1, 4000))"
      #expect(try detail(.xid(99)).contains(windows))
    }
  }

  @Test("do not cross a gap, nor take its near side for the end of WAL")
  func gaps() throws {
    try TemporaryDirectory.run { directory in
      let made = try Made(directory)
      try made.storeWAL(1, clock: 10, [.commit(offset: 5000, xid: 1, at: 10)])
      try made.storeWAL(2, clock: 20, [.commit(offset: 5000, xid: 2, at: 20)])
      try made.storeWAL(5, clock: 50, [.commit(offset: 5000, xid: 5, at: 50)])
      try made.backUp(start: Made.lsn(1, 40), stop: Made.lsn(1, 4000), at: 5)
      #expect(throws: RecoveryError.self) { try made.plan(made.options(.endOfWAL)) }
      #expect(throws: RecoveryError.self) { try made.plan(made.options(.xid(5))) }
      #expect(throws: RecoveryError.self) { try made.plan(made.options(.time(Made.time(30)))) }
      #expect(try made.plan(made.options(.lsn(Made.lsn(3)))).replayTarget == .endOfWAL)
      #expect(try made.plan(made.options(.time(Made.time(15)))).replayTarget == .time(Made.time(15)))
      // A backup behind the gap sees the end, and is not used for what lies before it.
      let second = try made.backUp(start: Made.lsn(5, 40), stop: Made.lsn(5, 4000), at: 45)
      #expect(try made.plan(made.options(.endOfWAL)).backup == second)
      #expect(throws: RecoveryError.self) { try made.plan(made.options(.time(Made.time(30)))) }
    }
  }

  @Test("leave out backups whose own WAL is missing")
  func withoutWAL() throws {
    try TemporaryDirectory.run { directory in
      let (made, _, second) = try standard(directory)
      try made.backUp(start: Made.lsn(9), stop: Made.lsn(9, 100), at: 90)
      let plan = try made.plan(made.options(.time(Made.time(55))))
      #expect(plan.backup == second)
      #expect(plan.warnings.contains { $0.contains("lack WAL") })
    }
  }

  @Test("follow the latest timeline, or the one that is named")
  func timelines() throws {
    try TemporaryDirectory.run { directory in
      let (made, _, second) = try standard(directory)
      // A server promoted within segment 5 went on in a timeline of its own.
      try made.storeHistory(2, "1\t\(Made.lsn(5, 7000))\tno recovery target specified\n")
      try made.storeWAL(5, timeline: 2, clock: 58, [.commit(offset: 8000, xid: 205, at: 57)])
      try made.storeWAL(6, timeline: 2, upTo: 5000, clock: 62, [.commit(offset: 100, xid: 206, at: 61)])
      let latest = try made.plan(made.options(.endOfWAL))
      #expect(latest.backup == second)
      #expect(latest.end == WALPosition(timeline: TimelineID(2), lsn: Made.lsn(6, 5000)))
      #expect(try made.plan(made.options(.xid(206))).timeline == TimelineID(2))
      #expect(throws: RecoveryError.self) { try made.plan(made.options(.xid(106))) }
      var options = try made.options(.xid(106))
      options.timeline = TimelineID(1)
      #expect(try made.plan(options).end.timeline == TimelineID(1))
      options.timeline = TimelineID(3)
      #expect(throws: RecoveryError.self) { try made.plan(options) }
    }
  }

  @Test("write settings that survive a shell, a settings file and an earlier restore")
  func settings() throws {
    try TemporaryDirectory.run { directory in
      let (made, _, second) = try standard(directory)
      var options = try made.options(.time(Made.time(55)))
      options.fetch = FetchCommand(executable: "/opt/o'b/backupd-wal", configuration: "/etc/50%\\x.yaml")
      let settings = RecoverySettings(plan: try made.plan(options), options: options)
      let text = settings.applied(to: "work_mem = '5MB'\n")
      #expect(settings.applied(to: text) == text)
      #expect(text.hasPrefix("work_mem = '5MB'\n\(RecoverySettings.begin)\(second)\n"))
      #expect(
        text.contains(
          #"restore_command = '''/opt/o''\\''''b/backupd-wal'' fetch --config ''/etc/50%%\\x.yaml'' --cluster oauth "#
            + "--until 1/\(Made.lsn(7, 9000)) %f \"%p\"'"))
      #expect(text.contains("recovery_target_time = '2027-01-15 08:00:55+00'"))
      for name in ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_xid"] {
        #expect(text.contains("\n\(name) = ''\n"))
      }
      #expect(text.contains("archive_command = '/bin/false'"))
      options.role = .primary
      let primary = RecoverySettings(plan: try made.plan(options), options: options).applied(to: "")
      #expect(!primary.contains("archive_command"))
    }
  }

  @Test("read back the planned end they wrote")
  func plannedEnd() throws {
    let position = WALPosition(timeline: TimelineID(12), lsn: try LSN("16/B374D848"))
    #expect(PlannedEnd.text(position) == "12/16/B374D848")
    #expect(try PlannedEnd.parse("12/16/B374D848") == position)
    for text in ["", "/", "1", "1/", "1/2", "0/1/2", "x/1/2", "1/1/2/3", "-1/1/2"] {
      #expect(throws: FormatError.self) { try PlannedEnd.parse(text) }
    }
  }
}
