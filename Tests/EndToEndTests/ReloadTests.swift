import Foundation
import TestSupport
import Testing

@Suite("A reload") struct ReloadTests {
  @Test("puts other stores and clusters into force, says what has to wait, and leaves all as it was where it cannot")
  func stores() throws {
    try PostgresServer.run { server in
      try BackupSite.run(server) { site in
        try site.withDaemon { daemon in
          let first = try site.backup()
          try site.waitUntilDurable(server)

          // A place without a repository is no store: the old one goes on.
          let empty = site.standardConfiguration.changing("local: {path: \(site.store)}") {
            $0 + "\n    other: {path: \(site.directory)/other}"
          }
          try site.writeConfiguration(empty)
          let refused = try site.backupctl("reload")
          #expect(refused.status == .exited(2))
          #expect(
            refused.standardError.contains("other: could not look for") && refused.standardError.contains("HINT"),
            "\(refused)")
          #expect(try site.json("status")["conditions"][0]["id"].text == "configuration")

          // The repository has moved.
          let moved = site.directory + "/moved"
          #expect(try Program.run("/bin/cp", ["-a", site.store, moved]).succeeded)
          let other = site.standardConfiguration.changing("local: {path: \(site.store)}") { _ in
            "local: {path: \(moved)}"
          }.changing("workers: 2}") { _ in "workers: 1, admin-group: postgres}" }.changing("clusters:\n") {
            $0 + "  second: {connection: host=/nowhere}\n"
          }
          try site.writeConfiguration(other)
          let answer = try site.json("reload")
          let differences = answer["differences"].array?.compactMap(\.text) ?? []
          #expect(
            differences == [
              "daemon: admin-group set to \"postgres\"", "daemon: workers changed from \"2\" to \"1\"",
              "cluster \"second\" added", "store \"local\": path changed from \"\(site.store)\" to \"\(moved)\"",
              "daemon: admin-group will change when backupd is restarted, not before",
            ], "\(answer)")
          #expect(try site.json("status")["clusters"].array?.count == 2)
          #expect((try site.json("status")["conditions"].array ?? []).allSatisfy { $0["id"].text != "configuration" })

          let second = try site.backup()
          try site.waitUntilDurable(server)
          #expect(try site.json("backups").array?.compactMap { $0["id"].text } == [first, second])
          #expect(try site.json("show", second)["parent"].text == first)
          let old = try FileManager.default.subpathsOfDirectory(atPath: site.store)
          #expect(!old.contains { $0.contains(second) }, "nothing is written to the old place")
          #expect(daemon.isRunning)
          try site.succeed("verify", "--full")
        }
      }
    }
  }
}

extension String {
  /// The text with the only place that `part` has in it changed.
  fileprivate func changing(_ part: String, _ change: (String) -> String) -> String {
    precondition(components(separatedBy: part).count == 2, "\"\(part)\" is not there once")
    return components(separatedBy: part).joined(separator: change(part))
  }
}
