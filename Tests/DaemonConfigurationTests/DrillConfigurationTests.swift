import BackupModel
import DaemonConfiguration
import Testing

@Suite("A drill's configuration") struct DrillConfigurationTests {
  private static let wal = "  w: {kind: wal, cluster: oauth, heartbeat: true}\n"

  @Test("has its standards") func standards() throws {
    let configuration = try Configuration.parse(Sample.text(jobs: "  d: {kind: drill, cluster: oauth}\n"), path: "f")
    guard case .drill(let drill) = try #require(configuration.job(JobID("d"))).kind else {
      throw FormatError.invalid(what: "job", text: "d", expected: "a drill")
    }
    #expect(drill.pick == .newest && drill.target == .latest && drill.amcheck && drill.checks == nil)
    #expect(drill.runs.retries == 0 && drill.checkTimeout == .seconds(300) && drill.scratch == nil)
  }

  @Test(
    "is refused where it proves nothing or names what is not there",
    arguments: [
      ("amcheck: false", "", "the drill has nothing to look at"),
      ("store: nonesuch", "", "there is no store \"nonesuch\""),
      ("keep: 3d", "", "does not apply to jobs of kind drill"),
      ("scratch: /backup/x", "", "scratch lies inside the path of store"),
    ])
  func refused(keys: String, others: String, problem: String) {
    let problems = Sample.problems(Sample.text(jobs: "  d: {kind: drill, cluster: oauth, \(keys)}\n" + others))
    #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
  }

  @Test("needs nothing else where heartbeats are written") func heartbeat() {
    let jobs = "  d: {kind: drill, cluster: oauth, amcheck: false}\n" + Self.wal
    #expect(Sample.problems(Sample.text(jobs: jobs)) == [])
  }
}
