import BackupModel
import Testing

@testable import Monitoring

/// How a judgement ended, for tables.
enum Verdict: Equatable, Sendable {
  case right, unclear, warning, critical

  init(_ judgement: Judgement) {
    switch judgement.state {
    case .right: self = .right
    case .unclear: self = .unclear
    case .wrong(.warning, _): self = .warning
    case .wrong(.critical, _): self = .critical
    }
  }
}

@Suite("Conditions of servers") struct ServerRulesTests {
  static let now = Timestamp(seconds: 1_790_000_000)
  private static let cluster = ClusterID(unchecked: "oauth")

  private static func observe(_ change: (inout ServerState) -> Void = { _ in }) -> ClusterObservation {
    var state = ServerState(clock: now)
    state.slot = ServerState.Slot(isActive: true, status: "reserved", retainedBytes: 1 << 20, safeBytes: nil)
    change(&state)
    return ClusterObservation(cluster, server: .value(state), slot: "backupd_oauth")
  }

  @Test("tell a server that starts from one that is away") func away() {
    func verdict(_ answer: Answer<ServerState>) -> (Verdict, String) {
      let judgement = ServerRules.answers(ClusterObservation(Self.cluster, server: answer))
      guard case .wrong(_, let report) = judgement.state else { return (Verdict(judgement), "") }
      return (Verdict(judgement), report.summary)
    }
    let report = ErrorReport(summary: "could not connect", detail: "Refused.")
    #expect(verdict(.none) == (.unclear, ""))
    #expect(verdict(.failed(report, isTransient: true)) == (.warning, "the server of cluster \"oauth\" is not ready"))
    #expect(
      verdict(.failed(report, isTransient: false)) == (.critical, "the server of cluster \"oauth\" cannot be reached"))
    #expect(verdict(.silent(.seconds(10))) == (.critical, "the server of cluster \"oauth\" does not answer"))
  }

  @Test(
    "compare clocks in both directions",
    arguments: [
      (0, Verdict.right), (30, .right), (31, .unclear), (60, .unclear), (61, .warning), (-61, .warning),
      (601, .critical), (-7200, .critical),
    ])
  func clocks(seconds: Int, verdict: Verdict) {
    let observation = Self.observe { $0.clockAhead = .seconds(seconds) }
    #expect(Verdict(ServerRules.clock(observation, MonitorSettings())) == verdict)
  }

  @Test("of a slot are its state and the room that is left") func slots() {
    func verdict(_ change: (inout ServerState) -> Void) -> Verdict { Verdict(ServerRules.slot(Self.observe(change))) }
    #expect(verdict { _ in } == .right)
    #expect(verdict { $0.slot = nil } == .critical)
    #expect(verdict { $0.slot?.isActive = false } == .warning)
    #expect(verdict { $0.slot?.status = "lost" } == .critical)
    #expect(verdict { $0.slot?.status = "unreserved" } == .critical)
    #expect(verdict { $0.slot?.status = "extended" } == .right)
    for (left, expected) in [
      (100, Verdict.right), (41, .right), (39, .unclear), (24, .warning), (9, .critical), (-5, .critical),
    ] {
      let found = verdict {
        $0.slotLimitBytes = 100
        $0.slot?.safeBytes = Int64(left)
      }
      #expect(found == expected, "\(left) % left")
    }
    #expect(
      verdict {
        $0.slotLimitBytes = 0
        $0.slot?.safeBytes = 0
      } == .right, "no division by nothing")
  }

  @Test("of an archiver are what the server counts and what waits in files") func archivers() {
    func verdict(_ archiver: ServerState.Archiver?) -> Verdict {
      Verdict(ServerRules.archiver(Self.observe { $0.archiver = archiver }, MonitorSettings()))
    }
    typealias Archiver = ServerState.Archiver
    let (recently, long) = (Self.now - .seconds(30), Self.now - .seconds(600))
    #expect(verdict(nil) == .right)
    #expect(verdict(Archiver()) == .right, "it never had anything to do")
    #expect(verdict(Archiver(failedCount: 9, lastFailed: long, lastArchived: recently)) == .right)
    #expect(verdict(Archiver(failedCount: 1, lastFailed: recently)) == .warning)
    #expect(verdict(Archiver(failedCount: 1, lastFailed: recently, lastArchived: long)) == .warning)
    // Killed by a signal, or hanging: nothing is counted.
    #expect(verdict(Archiver(lastArchived: long, readyFiles: 2, oldestReady: long)) == .warning)
    #expect(
      verdict(Archiver(lastArchived: recently, readyFiles: 2, oldestReady: long)) == .right, "it works through them")
    #expect(verdict(Archiver(lastArchived: recently, readyFiles: 40, oldestReady: recently)) == .unclear)
    #expect(verdict(Archiver(lastArchived: recently, readyFiles: 64, oldestReady: recently)) == .warning)
    #expect(verdict(Archiver(lastArchived: recently, readyFiles: 300, oldestReady: recently)) == .critical)
    #expect(
      verdict(Archiver(lastArchived: long, readyFiles: 1, oldestReady: Self.now - .seconds(4000))) == .critical)
    #expect(verdict(Archiver(failedCount: 1, lastFailed: recently, readyFiles: nil)) == .warning, "without the right")
  }

  @Test("of WAL is what the server writes and the stores do not get") func thin() throws {
    var track = WALTrack()
    let segment: UInt64 = 16 << 20
    #expect(track.note(server: nil, durable: nil) == nil)
    #expect(track.note(server: LSN(segment), durable: nil) == 0)
    #expect(track.note(server: LSN(5 * segment), durable: nil) == Int64(4 * segment))
    #expect(track.note(server: LSN(6 * segment), durable: LSN(segment)) == 0, "something came")
    #expect(track.note(server: LSN(2 * segment), durable: LSN(segment)) == 0, "another server")
    for (segments, expected) in [(0, Verdict.right), (2, .right), (3, .unclear), (4, .critical), (400, .critical)] {
      var observation = Self.observe()
      observation.wal = WALStatus(cluster: Self.cluster, slot: "s", state: "archiving")
      observation.unstoredBytes = Int64(segments) * Int64(segment)
      #expect(Verdict(ServerRules.walThin(observation)) == expected)
    }
    #expect(Verdict(ServerRules.walThin(Self.observe())) == .right, "no job keeps it")
  }

  @Test("say nothing of what a server that is away does not tell") func unseen() {
    let away = ClusterObservation(
      Self.cluster, server: .silent(.seconds(10)), slot: "s",
      wal: WALStatus(cluster: Self.cluster, slot: "s", state: "connecting"))
    let judgements = ServerRules.judge(away, MonitorSettings())
    #expect(
      judgements.filter { $0.state == .unclear }.map(\.id) == [
        "clock:oauth", "archiver:oauth", "wal-thin:oauth", "slot:oauth",
      ])
  }
}
