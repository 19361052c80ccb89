import BackupModel
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import BackupPipeline

@Suite("A rate") struct PacerTests {
  @Test("is shared by all who read, and what was not used of it is not saved up")
  func pauses() {
    let clock = Mutex(ContinuousClock.now)
    let pacer = Pacer(ByteCount(1024), now: { clock.withLock { $0 } })
    func pass(_ duration: Duration) { clock.withLock { $0 += duration } }
    // Whoever asks pays for those before, whichever thread they are.
    #expect([512, 512, 2048, 256].map { pacer.pause(for: $0) } == [.zero, .seconds(0.5), .seconds(1), .seconds(3)])
    pass(.seconds(2))
    #expect(pacer.pause(for: 768) == .seconds(1.25))
    // An hour in which nothing was read allows no burst.
    pass(.seconds(3600))
    #expect(pacer.pause(for: 1024) == .zero)
    #expect(pacer.pause(for: 1024) == .seconds(1))
  }

  /// No backup can be faster than its rate, however fast or slow the machine is.
  @Test("is kept by both sources", arguments: [BaseBackupPipeline.Source.stream, .direct])
  func kept(source: BaseBackupPipeline.Source) throws {
    try PostgresServer.run { server in
      try PipelineFixture.run { fixture in
        let rate = 12 << 20
        let result = try fixture.backUp(server, maximumRate: ByteCount(Int64(rate)), source: source)
        let copying = try #require(result.phases.first { $0.name == "copying" })
        let least = Double(result.backup.totalBytes.value) / Double(rate) * 0.8
        #expect(copying.durationSeconds > least)
      }
    }
  }
}

@Suite("A backup with priority idle") struct IdlePriorityTests {
  /// What the kernel says of the calling thread: its nice value and its class of disk priority.
  private static func priority() throws -> String {
    let stat = try String(contentsOfFile: "/proc/thread-self/stat", encoding: .utf8)
    // proc(5): the name, which may hold anything, ends at the last parenthesis; nice is the 17th field after it.
    let fields = stat[stat.index(after: stat.lastIndex(of: ")")!)...].split(separator: " ")
    let thread = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
    let disk = try Program.run("/usr/bin/ionice", ["-p", String(thread.split(separator: "/").last!)])
    return "\(fields[16]) \(disk.standardOutput.prefix { $0.isLetter })"
  }

  @Test("leaves processors and disks to others, in its own threads alone", arguments: [true, false])
  func share(isIdle: Bool) throws {
    try PostgresServer.run { server in
      try server.psql("create table t as select i, repeat(md5(i::text), 8) from generate_series(1, 60000) i")
      try PipelineFixture.run { fixture in
        let before = try Self.priority()
        let seen = Mutex<Set<String>>([])
        _ = try fixture.backUp(server, source: .direct, isIdle: isIdle) { progress in
          guard progress.phase == "copying", progress.doneBytes.value > 0 else { return }
          let found = (try? Self.priority()) ?? "unreadable"
          seen.withLock { _ = $0.insert(found) }
        }
        #expect(seen.withLock { $0 } == [isIdle ? "19 idle" : before])
        #expect(try Self.priority() == before && !before.hasPrefix("19"))
      }
    }
  }
}
