import Glibc
import TestSupport
import Testing

/// The varlink program of PyPI: a client that is not ours.
struct VarlinkProgram {
  static let nobody: UInt32 = 65534
  private let python: String

  init() throws {
    guard let python = getenv("BACKUPD_TEST_PYTHON").map({ String(cString: $0) }) else { throw Missing() }
    self.python = python
  }
  struct Missing: Error, CustomStringConvertible {
    var description: String {
      "BACKUPD_TEST_PYTHON is not set: it names a python with the package varlink, which \"make setup\" installs"
    }
  }

  func run(_ arguments: String...) async throws -> ProgramResult {
    try await blocking { [python] in try Program.run(python, ["-m", "varlink.cli"] + arguments) }
  }

  /// As a user without rights, in one group besides its own where one is given.
  func runAsNobody(group: UInt32? = nil, _ arguments: String...) async throws -> ProgramResult {
    let groups = group.map { ["--groups", "\($0)"] } ?? ["--clear-groups"]
    return try await blocking { [python] in
      try Program.run(
        "setpriv",
        ["--reuid", "\(Self.nobody)", "--regid", "\(Self.nobody)"] + groups + [python, "-m", "varlink.cli"] + arguments)
    }
  }
}

@Suite("Somebody else's Varlink client") struct ForeignClientTests {
  @Test("reads what the service is and the text of its interface")
  func introspection() async throws {
    let program = try VarlinkProgram()
    try await withControlServer { path in
      let info = try await program.run("info", "unix:\(path)")
      #expect(info.standardOutput.contains("io.backupd.Control") && info.standardOutput.contains("1.2.3"))
      let help = try await program.run("help", "unix:\(path)/io.backupd.Control")
      #expect(help.succeeded, "\(help.standardError)")
      for text in ["method GetStatus() -> (status: DaemonStatus)", "error NoSuchJob", "type RunRecord ("] {
        #expect(help.standardOutput.contains(text))
      }
      let service = try await program.run("help", "unix:\(path)/org.varlink.service")
      #expect(service.standardOutput.contains("GetInterfaceDescription"), "\(service.standardError)")
    }
  }

  @Test("calls every method")
  func calls() async throws {
    let program = try VarlinkProgram()
    try await withControlServer { path in
      let run = #"{"run":"\#(FakeDaemon.live)"}"#
      for (method, parameters, expected) in [
        ("Ping", "{}", "\"pid\": 42"), ("GetStatus", "{}", "\"systemIdentifier\": \"7412345678901234567\""),
        ("ListJobs", "{}", "\"schedule\": \"0 2 * * *\""), ("RunJob", #"{"job":"nightly"}"#, "\"due\""),
        ("RunJob", #"{"job":"nightly","wait":true}"#, "\"outcome\": \"succeeded\""), ("CancelRun", run, ""),
        ("ListRuns", #"{"limit":3}"#, "\"outcome\": \"failed\""), ("GetWALStatus", "{}", "\"lagSeconds\": 1.5"),
        ("GetStatus", "{}", "\"rpoState\": \"met\""), ("GetMetrics", "{}", "backupd_up 1"),
        ("AcknowledgeGaps", "{}", "\"clusters\""),
        ("PushWAL", #"{"cluster":"\#(FakeDaemon.wal.cluster)","path":"/data/pg_wal/000000010000000000000001"}"#, ""),
      ] {
        let result = try await program.run("call", "unix:\(path)/io.backupd.Control.\(method)", parameters)
        // The program prints nothing where the answer is empty.
        #expect(
          expected.isEmpty ? result.standardError.isEmpty : result.standardOutput.contains(expected),
          "\(method): \(result.standardOutput)\(result.standardError)")
      }
      let reload = try await program.run("call", "unix:\(path)/io.backupd.Control.Reload")
      #expect(reload.standardError.contains("io.backupd.Control.ConfigurationInvalid"), "\(reload.standardError)")
    }
  }

  @Test("follows a run with more")
  func more() async throws {
    let program = try VarlinkProgram()
    try await withControlServer { path in
      let result = try await program.run(
        "call", "--more", "unix:\(path)/io.backupd.Control.RunJob", #"{"job":"nightly"}"#)
      for text in ["\"phase\": \"start\"", "\"phase\": \"copy\"", "\"phase\": \"commit\"", "\"succeeded\""] {
        #expect(result.standardOutput.contains(text), "\(result.standardOutput)\(result.standardError)")
      }
    }
  }
}

@Suite("Rights over the control socket", .enabled(if: ProgramUser.canSwitch, "needs root to become somebody else"))
struct ControlRightsTests {
  @Test("let everyone who can connect read, and act nobody but those who may; both are logged")
  func others() async throws {
    let program = try VarlinkProgram()
    let daemon = FakeDaemon()
    let log = RecordingLog.Lines()
    try await withControlServer(daemon, log: log) {
      $0.mode = 0o666
      $0.adminGroup = 54321
    } _: { path in
      let interface = "unix:\(path)/io.backupd.Control"
      let read = try await program.runAsNobody("call", "\(interface).ListJobs")
      #expect(read.standardOutput.contains("nightly"), "\(read.standardError)")
      for (method, parameters) in [
        ("RunJob", #"{"job":"nightly"}"#), ("Reload", "{}"), ("CancelRun", #"{"run":"\#(FakeDaemon.live)"}"#),
      ] {
        let refused = try await program.runAsNobody("call", "\(interface).\(method)", parameters)
        #expect(refused.standardError.contains("io.backupd.Control.PermissionDenied"), "\(refused.standardError)")
      }
      #expect(daemon.log == [])
      let member = try await program.runAsNobody(group: 54321, "call", "\(interface).RunJob", #"{"job":"nightly"}"#)
      #expect(member.standardOutput.contains("\"job\": \"nightly\""), "\(member.standardError)")
    }
    #expect(daemon.log == ["start nightly for nobody (uid 65534)"])
    #expect(log.all.filter { $0.hasPrefix("warning control action refused") }.count == 3)
    #expect(
      log.all.contains {
        $0.hasPrefix("info control action asked for action=run job \"nightly\"") && $0.contains("user=nobody")
      })
  }

  @Test("keep out whom the socket's mode keeps out, and let the admin group in")
  func mode() async throws {
    let program = try VarlinkProgram()
    try await withControlServer {
      $0.adminGroup = 54321
    } _: { path in
      var status = stat()
      #expect(lstat(path, &status) == 0 && status.st_mode & 0o7777 == 0o660 && status.st_gid == 54321)
      let other = try await program.runAsNobody("call", "unix:\(path)/io.backupd.Control.Ping")
      #expect(!other.succeeded && other.standardError.contains("Permission"))
      let member = try await program.runAsNobody(group: 54321, "call", "unix:\(path)/io.backupd.Control.Ping")
      #expect(member.standardOutput.contains("1.2.3"), "\(member.standardError)")
    }
  }
}
