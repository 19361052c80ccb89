import BackupModel
import DaemonConfiguration
import Testing

@Suite("A health check's configuration") struct HealthConfigurationTests {
  @Test("has its standards") func standards() throws {
    let configuration = try Configuration.parse(Sample.text(jobs: "  c: {kind: check, cluster: oauth}\n"), path: "f")
    guard case .check(let check) = try #require(configuration.job(JobID("c"))).kind else {
      throw FormatError.invalid(what: "job", text: "c", expected: "a check")
    }
    #expect(check.restores && check.dumps == nil && check.checks == nil && check.server == nil)
    #expect(check.runs.retries == 0 && check.checkTimeout == .seconds(300) && check.sizeLimit == nil)
  }

  @Test(
    "is refused where it names what is not there",
    arguments: [
      ("dumps: nonesuch", "its cluster has no job \"nonesuch\" of kind logical; known are dump"),
      ("dumps: dumb", "did you mean \"dump\"?"),
      ("keep: 3d", "does not apply to jobs of kind check"),
    ])
  func refused(keys: String, problem: String) {
    let jobs = "  dump: {kind: logical, cluster: oauth}\n  c: {kind: check, cluster: oauth, \(keys)}\n"
    let problems = Sample.problems(Sample.text(jobs: jobs))
    #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
  }
}
