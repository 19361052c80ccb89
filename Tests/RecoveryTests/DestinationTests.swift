import BackupModel
import BlockingWork
import Foundation
import Glibc
import Repository
import TestSupport
import Testing

@testable import Recovery

@Suite("Restore destinations") struct DestinationTests {
  typealias Made = FabricatedRepository

  private func made(
    _ directory: String, configuration: [String: [UInt8]] = [:], tablespaces: [UInt32: String] = [:]
  ) throws -> Made {
    let made = try Made(directory)
    try made.storeWAL(1, clock: 10, [.commit(offset: 5000, xid: 1, at: 10)])
    try made.backUp(
      configuration: configuration, start: Made.lsn(1, 40), stop: Made.lsn(1, 4000), tablespaces: tablespaces)
    return made
  }

  private func content(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
  private func write(_ path: String, _ text: String = "mine") throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }
  private func names(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  @Test("get every file back, owned by the one who shall run the server, and nothing of ours beside")
  func everything() throws {
    try TemporaryDirectory.run { directory in
      let made = try made(directory)
      let options = try made.options()
      let report = try made.restore(options)
      for (path, bytes) in Made.files where path != "postgresql.auto.conf" {
        #expect(try content(options.directory + "/" + path) == bytes, "\(path)")
      }
      #expect(
        try names(options.directory) == [
          "PG_VERSION", "backup_label", "backup_manifest", "base", "global", "pg_tblspc", "pg_wal",
          "postgresql.auto.conf", "postgresql.conf", "recovery.signal",
        ])
      #expect(report.totalBytes.value == Int64(Made.files.values.reduce(0) { $0 + $1.count }))
      #expect(report.phases.map(\.name) == ["prepare", "copy", "sync"])
      guard ProgramUser.canSwitch else { return }
      let owner = try FileManager.default.attributesOfItem(atPath: made.directory + "/home")[.ownerAccountID] as? Int
      let all = try #require(FileManager.default.enumerator(atPath: options.directory)).compactMap { $0 as? String }
      for path in all + [""] {
        let found = try FileManager.default.attributesOfItem(atPath: options.directory + "/" + path)
        #expect(found[.ownerAccountID] as? Int == owner && owner != 0, "\(path)")
      }
    }
  }

  @Test("are refused where they are not empty, and left as they are")
  func notEmpty() throws {
    try TemporaryDirectory.run { directory in
      let made = try made(directory)
      let options = try made.options()
      mkdir(options.directory, 0o700)
      mkdir(options.directory + "/lost+found", 0o700)
      try write(options.directory + "/precious")
      #expect(throws: RecoveryError.self) { try made.restore(options) }
      #expect(try names(options.directory) == ["lost+found", "precious"])
      unlink(options.directory + "/precious")
      try made.restore(options)
      #expect(try names(options.directory).contains("lost+found"))
      // A finished restore is a data directory like any other.
      #expect(throws: RecoveryError.self) { try made.restore(options) }
      #expect(try content(options.directory + "/base/1/100") == Made.files["base/1/100"])
    }
  }

  @Test("hold tablespaces, WAL and configuration where they are wanted")
  func places() throws {
    try TemporaryDirectory.run { directory in
      let configuration = [
        "/etc/postgresql/15/main/postgresql.conf": Array("port = 5\n".utf8),
        "/etc/postgresql/15/main/conf.d/more.conf": Array("fsync = on\n".utf8),
      ]
      let made = try made(directory, configuration: configuration, tablespaces: [16400: "/srv/fast"])
      var options = try made.options()
      let home = made.directory + "/home"
      options.tablespaces = ["/srv/fast": home + "/fast/"]
      options.walDirectory = home + "/wal"
      options.configurationDirectory = home + "/etc"
      mkdir(home + "/etc", 0o755)
      try write(home + "/etc/environment")
      try made.restore(options)
      #expect(try content(home + "/fast/PG_15/1") == Array("rows".utf8))
      #expect(try content(options.directory + "/pg_tblspc/16400/PG_15/1") == Array("rows".utf8))
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: options.directory + "/pg_wal") == home + "/wal")
      #expect(try names(home + "/wal") == ["archive_status"])
      #expect(try names(home + "/etc") == ["conf.d", "environment", "postgresql.conf"])
      #expect(try content(home + "/etc/conf.d/more.conf") == Array("fsync = on\n".utf8))
      // Another directory, the same places: each is refused, none is touched.
      options.directory = home + "/other"
      #expect(throws: RecoveryError.self) { try made.restore(options) }
      options.tablespaces = ["/srv/fast": home + "/fast2"]
      #expect(throws: RecoveryError.self) { try made.restore(options) }
      options.walDirectory = home + "/wal2"
      #expect(throws: RecoveryError.self) { try made.restore(options) }
      options.configurationDirectory = nil
      try made.restore(options)
    }
  }

  @Test("are refused where they clash, are unknown, or cannot be made")
  func refused() throws {
    try TemporaryDirectory.run { directory in
      let made = try made(directory, tablespaces: [16400: "/srv/fast"])
      let home = made.directory + "/home"
      func refused(_ change: (inout RestoreOptions) -> Void) throws -> String {
        var options = try made.options()
        options.tablespaces = ["/srv/fast": home + "/fast"]
        change(&options)
        do {
          try made.restorer(options).check()
          return "accepted"
        } catch let error as RecoveryError {
          return [error.summary, error.detail ?? ""].joined(separator: " ")
        }
      }
      #expect(try refused { _ in } == "accepted")
      #expect(try refused { $0.tablespaces = ["/srv/fast": $0.directory + "/in"] }.contains("lies within"))
      #expect(try refused { $0.walDirectory = $0.directory }.contains("lies within"))
      #expect(try refused { $0.tablespaces = ["/srv/slow": home + "/x"] }.contains("/srv/fast"))
      #expect(try refused { $0.directory = home + "/missing/there" }.contains("does not exist"))
      #expect(try refused { $0.directory = "relative" }.contains("not absolute"))
      #expect(try refused { $0.owner = "nobody-of-that-name" }.contains("no such user"))
      #expect(try refused { $0.owner = "root" }.contains("root"))
      if ProgramUser.canSwitch {
        #expect(try refused { $0.directory = directory + "/in-roots-directory" }.contains("belongs to root"))
      }
    }
  }

  @Test("are refused where the data does not fit")
  func space() throws {
    try TemporaryDirectory.run { directory in
      let made = try made(directory)
      let reader = try BackupCatalog(made.repository).open(made.plan(made.options()).backup)
      let layout = DirectoryLayout(
        directory: directory + "/x", tablespaces: [:], walDirectory: "/proc/wal", configurationDirectory: nil,
        configurationPrefix: "/")
      // /proc has no room for anything.
      #expect { try RestoreExtent(reader, layout).check() } throws: { error in
        if case RecoveryError.spaceLacking("/proc", _, let free, _) = error { free.value == 0 } else { false }
      }
    }
  }

  @Test("of an interrupted restore are cleaned up by the next, which deletes nothing else")
  func interrupted() throws {
    try TemporaryDirectory.run { directory in
      let made = try made(directory, tablespaces: [16400: "/srv/fast"])
      var options = try made.options()
      options.tablespaces = ["/srv/fast": made.directory + "/home/fast"]
      func interrupt() throws {
        let cancellation = Cancellation()
        #expect(throws: CancellationError.self) {
          try made.restorer(options).run(cancellation: cancellation) { progress in
            if progress.doneBytes.value > 0 { cancellation.cancel() }
          }
        }
        #expect(access(options.directory + "/global/pg_control", F_OK) != 0)
        #expect(access(options.directory + "/backupd-restore.json", F_OK) == 0)
        #expect(access(options.directory + "/PG_VERSION", F_OK) == 0)
      }
      try interrupt()
      try write(options.directory + "/base/precious")
      #expect(throws: RecoveryError.self) { try made.restore(options) }
      #expect(try content(options.directory + "/base/precious") == Array("mine".utf8))
      unlink(options.directory + "/base/precious")
      try made.restore(options)
      #expect(try content(options.directory + "/base/1/100") == Made.files["base/1/100"])
      #expect(access(options.directory + "/backupd-restore.json", F_OK) != 0)
    }
  }

  @Test("are not shared by two restores")
  func busy() throws {
    try TemporaryDirectory.run { directory in
      let made = try made(directory)
      let options = try made.options()
      let second = try made.restorer(options)
      let refusals = FirstFailure()
      _ = try made.restorer(options).run(cancellation: Cancellation()) { _ in
        do { _ = try second.run(cancellation: Cancellation()) } catch { refusals.record(error) }
      }
      #expect { throw try #require(refusals.error) } throws: { error in
        if case RecoveryError.destinationBusy = error { true } else { false }
      }
    }
  }
}
