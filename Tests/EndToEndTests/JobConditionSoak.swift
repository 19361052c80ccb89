import Foundation
import Glibc
import TestSupport
import Testing

/// Conditions that take minutes to come, since nothing of them is shortened.
@Suite("What is wrong with jobs, for as long as it takes, Soak", .enabled(if: Soak.isOn && ProgramUser.canSwitch))
struct JobConditionSoak {
  @Test("runs that succeed only at the second attempt") func retries() throws {
    try PostgresServer.run { server in
      try ConditionSite.run(server, change: { $0.streamsWAL = false }) { conditions in
        let site = conditions.site
        for number in 1...3 {
          try Program.succeed("chmod", ["-R", "a-w", site.store])
          defer { _ = try? Program.run("chmod", ["-R", "u+w", site.store]) }
          try site.succeed("run", "physical", "--no-wait")
          try Poll.until(.seconds(30), "the first attempt's end", every: .milliseconds(200)) {
            try last(site)["warnings"].array?.isEmpty == false
          }
          try Program.succeed("chmod", ["-R", "u+w", site.store])
          try Poll.until(.seconds(120), "the end of run \(number)", every: .milliseconds(200)) {
            try last(site)["outcome"].text == "succeeded"
          }
          #expect(try last(site)["attempts"].integer == 2)
        }
        try JobConditionTests.expectRetriesTold(conditions)
      }
    }
  }

  @Test("a run that cannot be ended at its deadline, and ends much later") func stuck() throws {
    try TemporaryDirectory.run { directory in
      let checks = directory + "/checks.sql"
      // Whoever opens it for reading waits for a writer, whatever it is told meanwhile.
      try Program.succeed("mkfifo", ["-m", "666", checks])
      try PostgresServer.run { server in
        let job =
          "jobs:\n  look: {kind: check, cluster: main, restore: false, checks: \(checks), deadline: 1m, retries: 0}\n"
        try ConditionSite.run(server, change: { $0.streamsWAL = false }, replacing: [("jobs:\n", job)]) { conditions in
          let site = conditions.site
          try site.succeed("run", "look", "--no-wait")
          let text = try conditions.expectRaised(
            "stuck:look", severity: "critical", besides: ["job:look"], deadline: .seconds(480))
          #expect(text.contains("could not stop job"), "\(text)")
          // Other work of its kind goes on meanwhile.
          try site.backup()
          try Program.succeed("sh", ["-c", "echo > \(checks)"])
          try conditions.expectResolved("stuck:look", besides: ["job:look"])
          unlink(checks)
          try "select 'one' as name, 1 as value;\n".write(toFile: checks, atomically: false, encoding: .utf8)
          try site.succeed("run", "look")
          try conditions.expectResolved("job:look", besides: ["stuck:look"])
        }
      }
    }
  }

  private func last(_ site: BackupSite) throws -> JSON {
    let runs = try site.json("runs", "physical").array ?? []
    return try #require(runs.last)
  }
}
