import BackupModel
import BlockingWork
import ControlClient
import ControlProtocol
import Glibc
import TestSupport
import Testing

@Suite("A control client") struct ControlClientTests {
  @Test("reads everything the daemon tells")
  func reads() async throws {
    let daemon = FakeDaemon()
    try await withControlServer(daemon) { path in
      try await blocking { () throws in
        let client = ControlClient(socketPath: path)
        #expect(try client.ping() == PingReply(version: "1.2.3", pid: 42, startedAt: FakeDaemon.started))
        #expect(try client.status() == FakeDaemon.status)
        #expect(try client.jobs() == [FakeDaemon.summary])
        #expect(try client.walStatus() == [FakeDaemon.wal])
        #expect(try client.metrics() == "backupd_up 1\n")
        #expect(try client.runs() == [FakeDaemon.record(outcome: .failed)])
        #expect(try client.runs(job: FakeDaemon.job, limit: 7).count == 1)
      }
    }
    #expect(daemon.log == ["runs - 50", "runs nightly 7"])
  }

  @Test("starts a job, follows one to its end, and cancels it")
  func runs() async throws {
    let daemon = FakeDaemon()
    try await withControlServer(daemon) { path in
      try await blocking { () throws in
        let client = ControlClient(socketPath: path)
        #expect(try client.startJob(FakeDaemon.job).outcome == nil)
        var seen: [String] = []
        let last = try client.runJob(FakeDaemon.job) { seen.append($0.progress?.phase ?? "end") }
        #expect(seen == ["start", "copy", "commit", "end"])
        #expect(last == FakeDaemon.record(outcome: .succeeded))
        try client.cancel(FakeDaemon.live)
        #expect(try client.testAlerts() == [FakeDaemon.alertTest])
        let missing = #expect(throws: ControlError.self) { try client.testAlerts(AlertChannelID("pager")) }
        #expect(missing?.detail == "The channels are \"mail\".")
      }
    }
    #expect(daemon.log.map { $0.prefix(while: { $0 != " " }) } == ["start", "run", "cancel", "test"])
  }

  @Test("carries the daemon's errors in their three parts")
  func errors() async throws {
    try await withControlServer { path in
      try await blocking { () throws in
        let client = ControlClient(socketPath: path)
        let reload = #expect(throws: ControlError.self) { try client.reload() }
        #expect(
          reload.map { [$0.summary, $0.detail, $0.hint] } == ["cannot use the file", "Line 3.", "Mend line 3."])
        guard case .daemon(let failure) = reload, failure.kind == .configurationInvalid else {
          Issue.record("not ConfigurationInvalid: \(String(describing: reload))")
          return
        }
        let job = #expect(throws: ControlError.self) { try client.runJob(JobID("daily")) }
        #expect(job?.detail == "The jobs are \"nightly\".")
        #expect(throws: ControlError.self) { try client.cancel(RunID("20261102T030000Z-aaaaaaaa")) }
        #expect(throws: ControlError.self) { try client.runs(limit: 100_000) }
      }
    }
  }

  @Test("follows runs until it has seen enough, which the daemon notices")
  func follows() async throws {
    struct Enough: Error {}
    let daemon = FakeDaemon()
    try await withControlServer(daemon) { path in
      try await blocking {
        var seen = 0
        #expect(throws: Enough.self) {
          try ControlClient(socketPath: path).followRuns { runs in
            seen += runs.count
            if seen == 2 { throw Enough() }
          }
        }
        try Poll.until(.seconds(30), "the end of following") { daemon.log == ["followed"] }
      }
    }
  }

  @Test("is told when the daemon stops in the middle of a call")
  func stops() async throws {
    let (paths, path) = AsyncStream.makeStream(of: String.self)
    let (following, isFollowing) = AsyncStream.makeStream(of: Never.self)
    async let call: ControlError? = {
      for await path in paths {
        return try await blocking {
          #expect(throws: ControlError.self) {
            try ControlClient(socketPath: path).followRuns { _ in isFollowing.finish() }
          }
        }
      }
      return nil
    }()
    try await withControlServer {
      path.yield($0)
      for await _ in following {}
    }
    let error = try await call
    guard case .daemon(let failure)? = error else {
      Issue.record("not the daemon's error: \(String(describing: error))")
      return
    }
    #expect(failure.kind == .shuttingDown)
  }

  @Test("leaves a call when it is cancelled")
  func cancelled() async throws {
    try await withControlServer { path in
      try await blocking {
        let cancellation = Cancellation()
        #expect(throws: CancellationError.self) {
          try ControlClient(socketPath: path, cancellation: cancellation).followRuns { _ in cancellation.cancel() }
        }
      }
    }
  }

  @Test("says when the daemon is not running: no socket, and one nobody answers on")
  func notRunning() async throws {
    try await blocking {
      try TemporaryDirectory.run { directory in
        let path = directory + "/control.sock"
        for isThere in [false, true] {
          if isThere { try Program.succeed("python3", ["-c", "import socket; socket.socket(1).bind('\(path)')"]) }
          let error = #expect(throws: ControlError.self) { try ControlClient(socketPath: path).ping() }
          #expect(error?.summary == "the daemon is not running")
          #expect(error?.hint == "Start it with \"systemctl start backupd\".")
          #expect(error?.detail?.hasPrefix(isThere ? "Nobody answers" : "There is no socket") == true)
        }
      }
    }
  }
}
